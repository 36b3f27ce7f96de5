/**
 * dist/drp: one file with Node.js, our code, SQLite's native binding and the dashboard in it (Node.js single executable
 * application). Bundle → blob → a stripped copy of the pinned node binary → the blob put in. Stripping comes first: after
 * the injection it would cut the blob off.
 */
import { execFile } from "node:child_process";
import { chmod, copyFile, glob, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";

const run = promisify(execFile);
const WORK = "dist/.executable";
/** Node.js looks for this mark to learn that it carries an application (Node.js documentation, "sea"). */
const SENTINEL_FUSE = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";

export async function buildExecutable(out: string): Promise<void> {
  await rm(WORK, { recursive: true, force: true });
  await mkdir(WORK, { recursive: true });
  await bundle(join(WORK, "main.cjs"));
  await makeBlob(join(WORK, "main.cjs"), join(WORK, "drp.blob"));

  const partial = join(WORK, "drp");
  await copyFile(process.execPath, partial);
  await chmod(partial, 0o755);
  await strip(partial);
  // As a process of its own: its ELF library warns about every section that strip has renumbered.
  await run("postject", [partial, "NODE_SEA_BLOB", join(WORK, "drp.blob"), "--sentinel-fuse", SENTINEL_FUSE]);
  await rename(partial, out);
  await rm(WORK, { recursive: true });
}

async function bundle(outfile: string): Promise<void> {
  await build({
    entryPoints: ["src/main.ts"],
    outfile,
    bundle: true,
    platform: "node",
    target: "node24",
    format: "cjs",
    minify: true,
    keepNames: true,
    legalComments: "none",
    logLevel: "warning",
    // In a single executable `require` finds built-in modules only; the native binding is loaded from a file.
    banner: { js: `require = require("node:module").createRequire(process.execPath);` },
  });
}

async function makeBlob(main: string, output: string): Promise<void> {
  const assets: Record<string, string> = { "better-sqlite3.node": sqliteBinding() };
  for await (const entry of glob("dist/dashboard/**/*", { withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    assets[file.slice("dist/".length)] = file;
  }
  const config = join(WORK, "sea.json");
  await writeFile(
    config,
    JSON.stringify({ main, output, assets, disableExperimentalSEAWarning: true, useCodeCache: true }),
  );
  await run(process.execPath, ["--experimental-sea-config", config]);
}

function sqliteBinding(): string {
  const folder = dirname(createRequire(import.meta.url).resolve("better-sqlite3/package.json"));
  return join(folder, "prebuilds", `${process.platform}-${process.arch}.node`);
}

/** Debug symbols are a tenth of the binary. Without binutils it works the same and is larger. */
async function strip(file: string): Promise<void> {
  try {
    await run("strip", [file]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    console.error("build: no `strip` (Debian package binutils): dist/drp will be about 15 MB larger");
  }
}
