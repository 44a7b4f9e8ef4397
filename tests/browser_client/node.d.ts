// As much of node's own modules as the tests use: types of node would be one more thing to install.
declare module "node:test" {
  interface Timers {
    enable(options: { apis: string[]; now: number }): void;
    reset(): void;
    setTime(milliseconds: number): void;
    tick(milliseconds: number): void;
  }
  export const mock: { timers: Timers };
  export function test(name: string, run: () => void | Promise<void>): void;
  export function beforeEach(run: () => void | Promise<void>): void;
  export function afterEach(run: () => void | Promise<void>): void;
}

declare module "node:assert/strict" {
  const assert: {
    (value: unknown, message?: string): asserts value;
    equal(actual: unknown, expected: unknown, message?: string): void;
    notEqual(actual: unknown, expected: unknown, message?: string): void;
    deepEqual(actual: unknown, expected: unknown, message?: string): void;
    throws(run: () => unknown, expected: object): void;
    rejects(promise: Promise<unknown>, expected: object): Promise<void>;
  };
  export default assert;
}

declare function setImmediate(then: () => void): void;
