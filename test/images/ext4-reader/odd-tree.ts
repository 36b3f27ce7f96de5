/** Trees with everything that a file system can hold, and what the kernel's own tools say of the images made from them. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { noise } from "../bundles.ts";

const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

export function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, {
    encoding: "utf8",
    env: { PATH, TZ: "UTC" },
  });
}

/** @returns whether it worked: some oddities need root, or a file system that takes them */
export function tryRun(program: string, ...args: string[]): boolean {
  return spawnSync(program, args, { env: { PATH } }).status === 0;
}

/** A long one, so that it needs a block beside the inode. */
const SET_ATTRIBUTES = `
import os, sys
os.setxattr(sys.argv[1], "user.note", b"remember")
os.setxattr(sys.argv[1], "user.long", b"long " * 100)
`;

/** Every second block is a hole: more extents than an inode and one block of them hold. */
export function makeHoles(path: string): void {
  const file = openSync(path, "w");
  for (let block = 0; block < 1600; block += 2) writeSync(file, `block ${block}`, block * 4096);
  closeSync(file);
}

/** Long names, many names, sparse and empty files, links of every kind, devices, attributes, names that are not UTF-8. */
export function makeOddTree(dir: string): void {
  mkdirSync(join(dir, "many"), { recursive: true });
  // Past one block of names, so that the directory gets a hash tree; with 1 KiB blocks past its root.
  for (let index = 0; index < 800; index++)
    writeFileSync(join(dir, "many", `a name of some length, number ${index}`), "");
  writeFileSync(join(dir, "empty"), "");
  writeFileSync(join(dir, "small"), "hello\n");
  writeFileSync(join(dir, "large"), noise(1_500_000, 7));
  writeFileSync(join(dir, "sparse"), "start");
  truncateSync(join(dir, "sparse"), 4_000_000);
  makeHoles(join(dir, "holes"));
  writeFileSync(join(dir, "n".repeat(255)), "the longest name");
  writeFileSync(Buffer.concat([Buffer.from(join(dir, "bytes-")), Buffer.from([0xff, 0xfe])]), "not UTF-8");
  symlinkSync("small", join(dir, "short-link"));
  symlinkSync("x/".repeat(100), join(dir, "long-link"));
  symlinkSync("y".repeat(59), join(dir, "link-59"));
  symlinkSync("z".repeat(60), join(dir, "link-60"));
  run("ln", join(dir, "large"), join(dir, "hard-link"));
  let deep = dir;
  for (let level = 0; level < 40; level++) deep = join(deep, `level-${level}`);
  mkdirSync(deep, { recursive: true });
  writeFileSync(join(deep, "bottom"), "deep");
  tryRun("chown", "70000:90000", join(dir, "small"));
  // Last: a new owner takes the setuid bit away.
  run("chmod", "4751", join(dir, "small"));
  tryRun("mkfifo", join(dir, "fifo"));
  tryRun("mknod", join(dir, "char"), "c", "1", "3");
  tryRun("mknod", join(dir, "block"), "b", "259", "70000");
  tryRun("python3", "-c", SET_ATTRIBUTES, join(dir, "small"));
  tryRun("setcap", "cap_net_raw+ep", join(dir, "large"));
}

export function makeVolume(tree: string, image: string, size: string, ...options: string[]): Buffer {
  run("mke2fs", "-q", "-F", "-d", tree, ...options, image, size);
  return readFileSync(image);
}
