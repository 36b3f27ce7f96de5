/**
 * Writes cpio archives in the "newc" form that the Linux kernel unpacks as its first root file system
 * (Documentation/driver-api/early-userspace/buffer-format.rst). Knows nothing of where contents come from.
 *
 * The kernel takes several archives after each other, each plain or compressed, if each begins at a multiple of four
 * bytes: the hub puts a small plain one in front of the ramdisk that was built long before.
 */

export type CpioEntry =
  | { readonly kind: "directory"; readonly path: string; readonly permissions: number }
  | {
      readonly kind: "file";
      readonly path: string;
      readonly permissions: number;
      readonly contents: Uint8Array;
    }
  | { readonly kind: "symlink"; readonly path: string; readonly target: string }
  | {
      readonly kind: "character-device";
      readonly path: string;
      readonly permissions: number;
      readonly major: number;
      readonly minor: number;
    };

const TYPE_BITS = { directory: 0o040000, file: 0o100000, symlink: 0o120000, "character-device": 0o020000 };
const ALIGNMENT_BYTES = 4;
/** A size field holds 32 bits. */
const MAX_CONTENTS_BYTES = 0xffffffff;
const TRAILER = "TRAILER!!!";

/**
 * The archive in pieces, contents uncopied, owner root; entries may be produced one at a time. A directory comes before
 * what it holds: the kernel makes none by itself.
 *
 * @param entries paths relative to the root, without a leading slash
 * @param modifiedAtSeconds since 1970, the same for all, so that equal inputs give equal bytes
 */
export function* encodeCpio(entries: Iterable<CpioEntry>, modifiedAtSeconds = 0): Generator<Uint8Array> {
  let inode = 0;
  for (const entry of entries) {
    const contents = contentsOf(entry);
    yield encodeHeader(entry, ++inode, contents.length, modifiedAtSeconds);
    yield contents;
    yield padding(contents.length);
  }
  yield encodeHeader({ kind: "file", path: TRAILER, permissions: 0, contents: new Uint8Array() }, 0, 0, 0);
}

/** A small archive in one piece; a whole number of four bytes, so that another archive may follow. */
export function encodeCpioBytes(entries: Iterable<CpioEntry>, modifiedAtSeconds = 0): Uint8Array {
  return Buffer.concat([...encodeCpio(entries, modifiedAtSeconds)]);
}

function contentsOf(entry: CpioEntry): Uint8Array {
  if (entry.kind === "file") return entry.contents;
  return entry.kind === "symlink" ? Buffer.from(entry.target) : new Uint8Array();
}

function encodeHeader(entry: CpioEntry, inode: number, sizeBytes: number, mtime: number): Uint8Array {
  if (entry.path === "" || entry.path.startsWith("/")) {
    throw new RangeError(`a cpio path is relative to the root, not "${entry.path}"`);
  }
  if (sizeBytes > MAX_CONTENTS_BYTES) throw new RangeError(`${entry.path} is too large for a cpio archive`);
  const device = entry.kind === "character-device" ? entry : { major: 0, minor: 0 };
  const permissions = entry.kind === "symlink" ? 0o777 : entry.permissions;
  const name = Buffer.from(`${entry.path}\0`);
  const fields = [
    inode,
    entry.path === TRAILER ? 0 : TYPE_BITS[entry.kind] | permissions,
    0, // user: root
    0, // group: root
    1, // links: one name for each inode
    mtime,
    sizeBytes,
    0, // device that held the file, major
    0, // and minor
    device.major,
    device.minor,
    name.length,
    0, // checksum: none in this form
  ];
  const header = Buffer.from(`070701${fields.map(hexField).join("")}`);
  return Buffer.concat([header, name, padding(header.length + name.length)]);
}

function hexField(value: number): string {
  return value.toString(16).toUpperCase().padStart(8, "0");
}

function padding(lengthBytes: number): Uint8Array {
  return new Uint8Array(-lengthBytes & (ALIGNMENT_BYTES - 1));
}
