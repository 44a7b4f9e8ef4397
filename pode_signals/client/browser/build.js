// Builds dist/: the client as one module with its source map, and its types as one file. It publishes nothing.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const tsc = join(here, "node_modules", "typescript", "bin", "tsc");

// Properties that the modules use among themselves: they get short names. None of them is a name of the platform, of a
// frame or of the public types; tests/browser_client/test_build.py compares.
const OWN = readFileSync(join(here, "own-names.txt"), "utf8").split(/\s+/).filter(Boolean);

execFileSync(process.execPath, [tsc], { cwd: here, stdio: "inherit" });
mkdirSync(join(here, "dist"), { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: ["src/signals.ts"],
  outfile: "dist/signals.js",
  bundle: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  minify: true,
  mangleProps: new RegExp(`^(${OWN.join("|")})$`),
  sourcemap: true,
});
writeFileSync(join(here, "dist", "signals.d.ts"), declarations());

/** The types of the two modules that applications see, without what these import from each other. */
function declarations() {
  const folder = mkdtempSync(join(tmpdir(), "pode-signals-"));
  try {
    const options = ["--noEmit", "false", "--declaration", "--emitDeclarationOnly", "--outDir", folder];
    execFileSync(process.execPath, [tsc, ...options], { cwd: here, stdio: "inherit" });
    const texts = ["types", "client"].map((name) => readFileSync(join(folder, `${name}.d.ts`), "utf8"));
    return texts.join("").replace(/^import .*\n/gm, "");
  } finally {
    rmSync(folder, { recursive: true });
  }
}
