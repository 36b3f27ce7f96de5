/** Trees made by hand, the images that are planned from them, and what readers of other origin say of these. */
import { spawnSync } from "node:child_process";
import { hash } from "node:crypto";
import { open } from "node:fs/promises";
import { deviceNumber, type Inode } from "../../../src/images/ext4-reader/inode.ts";
import { Ext4Volume, type ReadBytes, ROOT_INODE } from "../../../src/images/ext4-reader/volume.ts";
import { type Ext4Plan, type Ext4Request, planExt4 } from "../../../src/images/ext4-writer/plan-ext4.ts";
import { readExt4Plan } from "../../../src/images/io/read-ext4-plan.ts";
import type { DirectoryNode, NodeAttributes, NodeBody, TreeNode } from "../../../src/images/tree-node.ts";

const ATTRIBUTES: NodeAttributes = { mode: 0o644, uid: 0, gid: 0, mtime: 1_700_000_000, xattrs: new Map() };

export function node(body: NodeBody, attributes: Partial<NodeAttributes> = {}): TreeNode {
  return { ...ATTRIBUTES, ...attributes, ...body };
}

export function directory(
  children: Readonly<Record<string, TreeNode>> | ReadonlyMap<string, TreeNode>,
  attributes: Partial<NodeAttributes> = {},
): DirectoryNode {
  const entries = children instanceof Map ? children : Object.entries(children);
  return { ...ATTRIBUTES, mode: 0o755, ...attributes, kind: "directory", children: new Map(entries) };
}

export const REQUEST: Ext4Request = {
  identity: "test:1",
  createdAt: Date.UTC(2026, 0, 1),
  sizeBytes: undefined,
};

export function plan(root: DirectoryNode, changes: Partial<Ext4Request> = {}): Ext4Plan {
  return planExt4(root, { ...REQUEST, ...changes });
}

/** Zeros become holes. */
export async function writePlan(planned: Ext4Plan, path: string): Promise<void> {
  await using file = await open(path, "w");
  await file.truncate(planned.sizeBytes);
  let at = 0;
  for await (const range of readExt4Plan(planned)) {
    if (range.kind === "data" && range.bytes.some(byte => byte !== 0)) {
      await file.write(range.bytes, 0, range.bytes.length, at);
    }
    at += range.kind === "data" ? range.bytes.length : range.lengthBytes;
  }
  if (at !== planned.sizeBytes) throw new Error(`${at} bytes instead of ${planned.sizeBytes}`);
}

/** @returns what e2fsck complains about; nothing for a sound file system */
export function complaints(path: string): string {
  const { status, stdout, stderr } = spawnSync("e2fsck", ["-fn", path], {
    encoding: "utf8",
    env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
  });
  return status === 0 ? "" : `${stdout}${stderr}`;
}

/** One line for each name, told by the reader of src/images/ext4-reader. */
export async function describeImage(path: string, skip: readonly string[] = []): Promise<string[]> {
  await using file = await open(path);
  const { size } = await file.stat();
  const read: ReadBytes = async (offset, length) => {
    const bytes = Buffer.alloc(length);
    await file.read(bytes, 0, length, offset);
    return bytes;
  };
  const volume = await Ext4Volume.open(read, size);
  const lines: string[] = [];
  const visit = async (inode: Inode, name: string): Promise<void> => {
    if (skip.includes(name)) return;
    const { kind, mode, uid, gid, links, sizeBytes } = inode;
    const xattrs = [...(await volume.readAttributes(inode))].map(
      ([key, value]) => `${key}=${value.toString("hex")}`,
    );
    const content = await describeContent(volume, inode);
    const size = kind === "directory" ? "" : sizeBytes;
    lines.push(
      [
        name,
        kind,
        mode.toString(8),
        uid,
        gid,
        kind === "directory" ? "" : links,
        size,
        content,
        ...xattrs.sort(),
      ].join(" "),
    );
    if (kind !== "directory") return;
    for (const entry of await volume.readDirectory(inode)) {
      await visit(await volume.readInode(entry.inode), `${name}/${entry.name}`);
    }
  };
  await visit(await volume.readInode(ROOT_INODE), "");
  return lines.sort();
}

async function describeContent(volume: Ext4Volume, inode: Inode): Promise<string> {
  if (inode.kind === "symlink") return await volume.readLink(inode);
  if (inode.kind.endsWith("device")) return deviceNumber(inode);
  if (inode.kind !== "file" || inode.sizeBytes > 2 ** 28) return "";
  return hash("sha256", await volume.readFile(inode, 2 ** 28));
}

/** The same lines, told by the tree. */
export async function describeTree(root: DirectoryNode): Promise<string[]> {
  const links = new Map<TreeNode, number>();
  const count = (at: TreeNode): void => {
    links.set(at, (links.get(at) ?? 0) + 1);
    if (at.kind === "directory") for (const child of at.children.values()) count(child);
  };
  count(root);
  const lines: string[] = [];
  const visit = async (at: TreeNode, name: string): Promise<void> => {
    const { kind, mode, uid, gid, xattrs } = at;
    const content =
      kind === "symlink"
        ? at.target
        : kind === "character-device" || kind === "block-device"
          ? `${at.major}:${at.minor}`
          : kind === "file" && at.content.sizeBytes <= 2 ** 28
            ? hash("sha256", await readContent(at.content))
            : "";
    const size =
      kind === "file"
        ? at.content.sizeBytes
        : kind === "symlink"
          ? at.target.length
          : kind === "directory"
            ? ""
            : 0;
    const shown = [...xattrs].map(([key, value]) => `${key}=${value.toString("hex")}`).sort();
    lines.push(
      [
        name,
        kind,
        mode.toString(8),
        uid,
        gid,
        kind === "directory" ? "" : links.get(at),
        size,
        content,
        ...shown,
      ].join(" "),
    );
    if (at.kind === "directory")
      for (const [part, child] of at.children) await visit(child, `${name}/${part}`);
  };
  await visit(root, "");
  return lines.sort();
}

async function readContent({
  path,
  sizeBytes,
  runs,
}: Extract<TreeNode, { kind: "file" }>["content"]): Promise<Buffer> {
  const content = Buffer.alloc(sizeBytes);
  if (runs.length === 0) return content;
  await using file = await open(path);
  for (const run of runs) await file.read(content, run.offsetBytes, run.sizeBytes, run.storedAtBytes);
  return content;
}
