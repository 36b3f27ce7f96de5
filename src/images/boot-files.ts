/** Whether a root file system holds what the loader starts: SLOT:/boot/vmlinuz and SLOT:/boot/initrd.img. */
import { DecodeError, DrpError } from "../core/errors.ts";
import type { Inode } from "./ext4-reader/inode.ts";
import { Ext4Volume, type ReadBytes, ROOT_INODE } from "./ext4-reader/volume.ts";
import type { FileTree } from "./file-tree.ts";

const BOOT_FILES = ["boot/vmlinuz", "boot/initrd.img"] as const;
/** The kernel's own limit (MAXSYMLINKS). */
const MAX_LINKS_FOLLOWED = 40;

/** @throws {DrpError} input.unreadable telling everything that is missing */
export function requireBootFilesOfTree(tree: FileTree, source: string): void {
  throwMissing(
    source,
    BOOT_FILES.filter(path => tree.find(path)?.kind !== "file"),
  );
}

/** @throws {DrpError} input.unreadable telling everything that is missing, or that the volume cannot be read */
export async function requireBootFilesOfVolume(
  read: ReadBytes,
  volumeBytes: number,
  source: string,
): Promise<void> {
  const missing: string[] = [];
  try {
    const volume = await Ext4Volume.open(read, volumeBytes);
    for (const path of BOOT_FILES) {
      if ((await findInode(volume, path))?.kind !== "file") missing.push(path);
    }
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw new DrpError("input.unreadable", `the ext4 file system in ${source} is damaged`, {
      advice: "Run e2fsck on it, or make it again.",
      cause,
    });
  }
  throwMissing(source, missing);
}

function throwMissing(source: string, missing: readonly string[]): void {
  if (missing.length === 0) return;
  throw new DrpError(
    "input.unreadable",
    `${source} has no ${missing.join(" and no ")}, which the loader would start`,
    {
      advice:
        "Put the kernel and its ramdisk at boot/vmlinuz and boot/initrd.img, as files or links; a container image needs a layer with both.",
      facts: { missing: missing.join(", ") },
    },
  );
}

/** Follows symbolic links within the volume. */
async function findInode(volume: Ext4Volume, path: string): Promise<Inode | undefined> {
  const ahead = path.split("/").reverse();
  const root = await volume.readInode(ROOT_INODE);
  const trail: Inode[] = [];
  let at = root;
  let linksFollowed = 0;
  for (let name = ahead.pop(); name !== undefined; name = ahead.pop()) {
    if (name === "" || name === ".") continue;
    if (at.kind !== "directory") return undefined;
    if (name === "..") {
      at = trail.pop() ?? root;
      continue;
    }
    const entry = (await volume.readDirectory(at)).find(candidate => candidate.name === name);
    if (entry === undefined) return undefined;
    const next = await volume.readInode(entry.inode);
    if (next.kind !== "symlink") {
      trail.push(at);
      at = next;
      continue;
    }
    if (++linksFollowed > MAX_LINKS_FOLLOWED) return undefined;
    const target = await volume.readLink(next);
    if (target.startsWith("/")) {
      trail.length = 0;
      at = root;
    }
    ahead.push(...target.split("/").reverse());
  }
  return at;
}
