/** Makes an ext4 file system from a directory, the same one each time from the same content: mke2fs of e2fsprogs does it. */
import { execFile } from "node:child_process";
import { hash } from "node:crypto";
import { lstat, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { formatBytes } from "../../core/bytes.ts";
import { DrpError } from "../../core/errors.ts";
import type { EpochMs } from "../../core/time.ts";
import { inodeTablesHeadBytes, locateInodeTables, settleInodeTimes } from "../ext4-inode-times.ts";

export interface Ext4Request {
  readonly rootfsDir: string;
  /** Must not exist. */
  readonly out: string;
  /** A multiple of 4096; undefined: what the content needs and a margin. */
  readonly sizeBytes: number | undefined;
  /** Decides the volume's UUID and the seed of its directory hashes. */
  readonly identity: string;
  readonly createdAt: EpochMs;
}

const BLOCK_BYTES = 4096;
const INODE_BYTES = 256;
const MIB = 1024 * 1024;

/**
 * What GRUB 2.06's ext2 module and every kernel since 3.18 read. Without metadata_csum_seed, orphan_file and inline_data,
 * which newer e2fsprogs would add and GRUB refuses; without a journal, which a slot that is never written does not need.
 */
const FEATURES = [
  "none,sparse_super,large_file,filetype,dir_index,ext_attr,extent,huge_file",
  "flex_bg,metadata_csum,64bit,dir_nlink,extra_isize",
].join(",");

/** @throws {DrpError} tool.missing, input.unreadable, request.invalid when the content does not fit, storage.full */
export async function makeExt4(request: Ext4Request): Promise<void> {
  const tree = await measureTree(request.rootfsDir);
  const inodes = Math.ceil(tree.entries * 1.05) + 64;
  const needed = tree.blocks * BLOCK_BYTES + inodes * INODE_BYTES;
  // Extent trees, extended attributes and group descriptors stay below 5 %; zeros cost nothing in a bundle.
  const sizeBytes = request.sizeBytes ?? Math.ceil((needed * 1.05) / MIB + 8) * MIB;
  if (sizeBytes < needed || sizeBytes % BLOCK_BYTES !== 0) {
    throw new DrpError("request.invalid", `a file system of ${sizeBytes} bytes is not possible here`, {
      advice: `Give a multiple of ${BLOCK_BYTES} bytes, at least ${formatBytes(needed)} and some margin, or leave it out.`,
    });
  }
  await runMke2fs(request, [
    ...["-q", "-F", "-b", String(BLOCK_BYTES), "-I", String(INODE_BYTES), "-N", String(inodes), "-m", "0"],
    ...["-O", FEATURES, "-U", uuidFrom(`volume ${request.identity}`)],
    ...[
      "-E",
      `hash_seed=${uuidFrom(`hash ${request.identity}`)},lazy_itable_init=0,nodiscard,root_owner=0:0`,
    ],
    ...["-d", request.rootfsDir, request.out, String(sizeBytes / BLOCK_BYTES)],
  ]);
  await settleTimes(request.out, sizeBytes);
}

async function settleTimes(path: string, sizeBytes: number): Promise<void> {
  await using file = await open(path, "r+");
  const head = Buffer.alloc(inodeTablesHeadBytes(sizeBytes));
  await file.read(head, 0, head.length, 0);
  const { tables, checksumSeed } = locateInodeTables(head);
  for (const { offsetBytes, lengthBytes, firstInode } of tables) {
    const table = Buffer.alloc(lengthBytes);
    await file.read(table, 0, lengthBytes, offsetBytes);
    settleInodeTimes(table, firstInode, checksumSeed);
    await file.write(table, 0, lengthBytes, offsetBytes);
  }
}

async function runMke2fs(request: Ext4Request, args: readonly string[]): Promise<void> {
  const env = {
    // Debian keeps it in /usr/sbin, which is not in everyone's path.
    PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin`,
    LC_ALL: "C",
    TZ: "UTC",
    // The host's own defaults must not change the image.
    MKE2FS_CONFIG: "/dev/null",
    E2FSPROGS_FAKE_TIME: String(Math.floor(request.createdAt / 1000)),
  };
  try {
    await promisify(execFile)("mke2fs", args, { env });
  } catch (cause) {
    const { code, stderr = "" } = cause as { code?: unknown; stderr?: string };
    if (code === "ENOENT") {
      throw new DrpError("tool.missing", "mke2fs is not installed", {
        advice: "Install the package e2fsprogs.",
      });
    }
    if (stderr.includes("No space left on device")) {
      throw new DrpError("storage.full", `no room for the file system beside ${request.out}`, {
        advice: "Free some space there, or write the bundle to another disk.",
        cause,
      });
    }
    if (stderr.includes("Could not allocate")) {
      throw new DrpError("request.invalid", `${request.rootfsDir} does not fit into the file system`, {
        advice: "Ask for a larger one, or leave the size out.",
        cause,
      });
    }
    const lastLine = stderr.trim().split("\n").at(-1) ?? "";
    throw new DrpError("input.unreadable", `mke2fs cannot pack ${request.rootfsDir}: ${lastLine}`, { cause });
  }
}

/** How many inodes and blocks the content takes; a hard-linked file counts once. */
async function measureTree(rootfsDir: string): Promise<{ entries: number; blocks: number }> {
  const hardLinks = new Set<string>();
  const total = { entries: 0, blocks: 0 };
  const directories = [rootfsDir];
  for (let dir = directories.pop(); dir !== undefined; dir = directories.pop()) {
    const names = await readdir(dir);
    const nameBytes = names.reduce((sum, name) => sum + 12 + Buffer.byteLength(name), 0);
    total.entries++;
    total.blocks += Math.ceil((nameBytes + 64) / BLOCK_BYTES);
    for (const name of names) {
      const path = join(dir, name);
      const stats = await lstat(path);
      if (stats.isDirectory()) {
        directories.push(path);
        continue;
      }
      const identity = `${stats.dev}:${stats.ino}`;
      if (stats.nlink > 1 && hardLinks.has(identity)) continue;
      if (stats.nlink > 1) hardLinks.add(identity);
      total.entries++;
      total.blocks += Math.ceil(stats.size / BLOCK_BYTES);
    }
  }
  return total;
}

/** A UUID of version 8 (RFC 9562 §5.8): our own bits, the same for the same seed. */
function uuidFrom(seed: string): string {
  const hex = hash("sha256", `drp ext4 ${seed}`);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
