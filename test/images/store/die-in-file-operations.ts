/** Ends this process by SIGKILL at its n-th file operation from now: before it, and in the middle of it where it writes. */
import { writeSync } from "node:fs";
import fs, { type FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

/** Modules that are loaded already call what is put in here as well. */
export async function dieInFileOperations(moment: number): Promise<void> {
  let left = moment;
  const countDown = () => --left === 0;
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

function die(): never {
  process.kill(process.pid, "SIGKILL");
  // The signal comes before this thread runs on.
  throw new Error("still alive");
}
