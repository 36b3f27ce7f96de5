/** Makes the npm packages present and finds the pinned Node.js among them. Runs on Node.js 20. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, "node_modules");
const stamp = join(modules, ".drp-lock");
/** The platform's own package: it carries the binary and needs no install script. */
const pinnedNode = join(modules, `node-${process.platform}-${process.arch}`, "bin", "node");

/** Installs exactly what package-lock.json names, unless that was done before. */
export function ensurePackages() {
  const lock = readFileSync(join(root, "package-lock.json"), "utf8");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock && existsSync(pinnedNode)) return;
  console.error("drp: installing npm packages (once) …");
  const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (npm.status !== 0) {
    console.error("drp: npm ci failed (its words are above): nothing can run without the npm packages.");
    console.error("  → Check that the npm registry can be reached, then start again.");
    process.exit(1);
  }
  if (!existsSync(pinnedNode)) {
    console.error(`drp: there is no pinned Node.js for ${process.platform}-${process.arch}.`);
    console.error("  → Linux on x64 and arm64 are supported.");
    process.exit(1);
  }
  writeFileSync(stamp, lock);
}

/** Runs the pinned Node.js in this terminal; signals go to the child alone, so that it can end what it started. */
export function runPinnedNode(commandLine) {
  const child = spawn(pinnedNode, commandLine, {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, PATH: `${join(modules, ".bin")}${delimiter}${process.env.PATH}` },
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  return new Promise(resolve => child.on("exit", (code, signal) => resolve(signal === null ? code : 1)));
}
