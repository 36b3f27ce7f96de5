/**
 * `npm run build`: dashboard → dist/dashboard, single executable → dist/drp, what machines boot → dist/boot.
 * With --if-changed only when a source is newer than what was built.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { buildBootFiles } from "../boot/build.ts";
import { DrpError, describeErrorChain } from "../src/core/errors.ts";
import { buildDashboard } from "./build-dashboard.ts";
import { buildExecutable } from "./build-executable.ts";
import { hashSources } from "./hash-sources.ts";

const STAMP = "dist/.sources";
const PRODUCTS = ["dist/drp", "dist/dashboard/index.html", "dist/boot/ramdisk.img"];

const sources = await hashSources();
const current =
  PRODUCTS.every(existsSync) && existsSync(STAMP) && (await readFile(STAMP, "utf8")) === sources;
if (!(current && process.argv.includes("--if-changed"))) process.exitCode = await build();

async function build(): Promise<number> {
  const startedAt = Date.now();
  const log = (line: string) =>
    console.error(`build ${((Date.now() - startedAt) / 1000).toFixed(1).padStart(5)} s  ${line}`);
  await mkdir("dist", { recursive: true });
  log("dashboard");
  await buildDashboard();
  log("single executable dist/drp");
  await buildExecutable("dist/drp");
  try {
    await buildBootFiles({ drp: "dist/drp", out: "dist/boot", cache: ".cache/debian", log });
  } catch (error) {
    // The hub is of use without them: API, dashboard and images work; it says itself that network boot is off.
    if (!(error instanceof DrpError)) throw error;
    console.error(`drp: no boot files: ${describeErrorChain(error)}`);
    if (error.advice !== undefined) console.error(`  → ${error.advice}`);
    return 0;
  }
  await writeFile(STAMP, sources);
  log("done");
  return 0;
}
