/**
 * Pushes and removes images and dies by SIGKILL at the given file operation: before it, and in the middle of it where it writes.
 * Arguments: the operation's number, the registry's folder, the key as JSON, bundle files.
 */
import { createReadStream, writeSync } from "node:fs";
import fs, { type FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

const [number = "", dir = "", key = "", ...bundles] = process.argv.slice(2);
let left = Number(number);

function countDown(): boolean {
  left--;
  return left === 0;
}

function die(): never {
  process.kill(process.pid, "SIGKILL");
  // The signal comes before this thread runs on.
  throw new Error("still alive");
}

async function dieInFileOperations(): Promise<void> {
  await using some = await fs.open("/dev/null");
  const handle = Object.getPrototypeOf(some) as FileHandle;
  const { writeFile, sync } = handle;
  handle.writeFile = async function (content) {
    if (countDown()) {
      const bytes = Buffer.from(content as Uint8Array | string);
      writeSync(this.fd, bytes, 0, bytes.length >> 1);
      die();
    }
    await writeFile.call(this, content);
  };
  handle.sync = async function () {
    if (countDown()) die();
    await sync.call(this);
  };
  const { rename, rm } = fs;
  fs.rename = async (from, to) => {
    if (countDown()) die();
    await rename(from, to);
  };
  fs.rm = async (path, options) => {
    if (countDown()) die();
    await rm(path, options);
  };
  syncBuiltinESMExports();
}

const { openRegistry } = await import("../../../src/images/io/registry.ts");
const registry = await openRegistry(dir);
await dieInFileOperations();
for (let round = 0; ; round++) {
  const bundle = bundles[round % bundles.length] ?? "";
  const { digest } = await registry.ingestBundle(createReadStream(bundle), [JSON.parse(key)]);
  // Every other one stays, so that what is removed shares chunks with what is not.
  if (round % 2 === 1) await registry.remove(digest);
}
