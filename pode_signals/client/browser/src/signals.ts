// The names that applications import. It does nothing.
export { SignalClient } from "./client.js";
export type {
  Address,
  Closed,
  Events,
  Hello,
  Member,
  Options,
  PresenceView,
  Signal,
  Source,
  State,
  Types,
} from "./types.js";
export { SignalsError } from "./types.js";
