import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openDataFolder } from "../../src/daemon/io/data-folder.ts";

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "drp-data-"));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

test("a new data folder is for its user alone, and one that was let go can be opened again", () => {
  const path = join(base, "deep", "data");
  openDataFolder(path).release();
  expect(statSync(path).mode & 0o777).toBe(0o700);
  openDataFolder(path).release();
});

test("a folder in use is refused, naming it and what to do", () => {
  const folder = openDataFolder(base);
  expect(() => openDataFolder(base)).toThrow(
    expect.objectContaining({
      code: "data.locked",
      message: expect.stringContaining(base),
      advice: expect.stringContaining("--data"),
    }),
  );
  folder.release();
});

test("the lock ends with the process that held it, also by kill -9", async () => {
  const script = `
    const { openDataFolder } = await import(${JSON.stringify(join(import.meta.dirname, "../../src/daemon/io/data-folder.ts"))});
    const folder = openDataFolder(${JSON.stringify(base)});
    console.log("locked");
    setInterval(() => folder, 1000); // A folder that nobody holds is collected as garbage, and unlocked.`;
  const holder = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(holder, "exit");
  await once(holder.stdout, "data");
  expect(() => openDataFolder(base)).toThrow(expect.objectContaining({ code: "data.locked" }));
  holder.kill("SIGKILL");
  await exited;
  openDataFolder(base).release();
});

test("a file in the folder's place is data.unwritable", () => {
  const file = join(base, "file");
  writeFileSync(file, "");
  expect(() => openDataFolder(file)).toThrow(expect.objectContaining({ code: "data.unwritable" }));
});

test("a folder that this user may not write to is data.unwritable", context => {
  if (process.getuid?.() === 0) context.skip("root may write everywhere");
  chmodSync(base, 0o500);
  expect(() => openDataFolder(base)).toThrow(expect.objectContaining({ code: "data.unwritable" }));
});
