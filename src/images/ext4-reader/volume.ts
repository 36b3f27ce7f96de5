/**
 * Reads an ext2, ext3 or ext4 volume that nobody has mounted and nobody vouches for: whatever it claims, reading it ends, and
 * takes no more memory than a directory of it.
 */
import { DecodeError } from "../../core/errors.ts";
import { type Attributes, decodeAttributeBlock, decodeInodeAttributes } from "./attributes.ts";
import { type BlockRun, type BlockSource, blockRuns } from "./block-runs.ts";
import { type DirectoryEntry, decodeDirectoryBlock } from "./directory.ts";
import { decodeInode, type Inode } from "./inode.ts";
import { decodeSuperblock, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET, type Superblock } from "./superblock.ts";

/** @returns exactly `length` bytes, which the caller only reads; both are within the volume */
export type ReadBytes = (offset: number, length: number) => Promise<Buffer>;

export const ROOT_INODE = 2;
/** A link's target is a path. */
const MAX_LINK_BYTES = 4096;
const SHORT_LINK_BYTES = 60;
/** Ten times Debian's fullest folder, /var/lib/dpkg/info; sorting them takes 0.1 s, in which nothing else is done. */
const MAX_DIRECTORY_ENTRIES = 100_000;
/** No block belongs to two files: more than this, over all that is read, and files share blocks that they must not. */
const READS_PER_BLOCK = 8;

export class Ext4Volume implements BlockSource {
  readonly #read: ReadBytes;
  readonly #superblock: Superblock;
  #blocksLeft: number;

  private constructor(read: ReadBytes, superblock: Superblock) {
    this.#read = read;
    this.#superblock = superblock;
    this.#blocksLeft = READS_PER_BLOCK * superblock.blocks;
  }

  /** @throws {DecodeError} when it is none, or one that is not read here */
  static async open(read: ReadBytes, volumeBytes: number): Promise<Ext4Volume> {
    if (volumeBytes < SUPERBLOCK_OFFSET + SUPERBLOCK_BYTES)
      throw new DecodeError("too small for a superblock");
    return new Ext4Volume(
      read,
      decodeSuperblock(await read(SUPERBLOCK_OFFSET, SUPERBLOCK_BYTES), volumeBytes),
    );
  }

  get blockBytes(): number {
    return this.#superblock.blockBytes;
  }

  get blocks(): number {
    return this.#superblock.blocks;
  }

  async readInode(number: number): Promise<Inode> {
    const { inodes, inodesPerGroup, inodeBytes, blockBytes, hasLargeDirectories } = this.#superblock;
    if (number < 1 || number > inodes)
      throw new DecodeError(`there is no inode ${number}: the volume has ${inodes}`);
    const group = Math.floor((number - 1) / inodesPerGroup);
    const offset =
      (await this.#inodeTable(group)) * blockBytes + ((number - 1) % inodesPerGroup) * inodeBytes;
    return decodeInode(await this.#readChecked(offset, inodeBytes), number, hasLargeDirectories);
  }

  /** In the order of their bytes. */
  async readDirectory(inode: Inode): Promise<DirectoryEntry[]> {
    const entries: DirectoryEntry[] = [];
    for await (const { physical, count } of this.runs(inode)) {
      for (let block = physical; block < physical + count; block++) {
        for (const entry of decodeDirectoryBlock(await this.readBlock(block), this.#superblock.hasFileTypes))
          entries.push(entry);
        if (entries.length > MAX_DIRECTORY_ENTRIES) {
          throw new DecodeError(
            `directory inode ${inode.number} holds more than ${MAX_DIRECTORY_ENTRIES} names`,
          );
        }
      }
    }
    entries.sort((one, other) => (one.name < other.name ? -1 : 1));
    const twice = entries.find((entry, index) => entries[index + 1]?.name === entry.name);
    if (twice !== undefined)
      throw new DecodeError(`directory inode ${inode.number} holds the name ${twice.name} twice`);
    return entries;
  }

  async readLink(inode: Inode): Promise<string> {
    const { sizeBytes, blockField, hasExtents, number } = inode;
    if (sizeBytes > MAX_LINK_BYTES) throw new DecodeError(`inode ${number} is a link of ${sizeBytes} bytes`);
    const isShort = sizeBytes < SHORT_LINK_BYTES && !hasExtents;
    const target = isShort ? blockField.subarray(0, sizeBytes) : await this.readFile(inode, MAX_LINK_BYTES);
    return target.toString("latin1");
  }

  async readAttributes({ tail, attributeBlock }: Inode): Promise<Attributes> {
    const inside = decodeInodeAttributes(tail);
    if (attributeBlock === 0) return inside;
    return new Map([...inside, ...decodeAttributeBlock(await this.readBlock(attributeBlock))]);
  }

  /** @throws {DecodeError} when it is larger than `maxBytes` */
  async readFile(inode: Inode, maxBytes: number): Promise<Buffer> {
    const { sizeBytes, number } = inode;
    if (sizeBytes > maxBytes)
      throw new DecodeError(`inode ${number} has ${sizeBytes} bytes, more than ${maxBytes}`);
    const content = Buffer.alloc(sizeBytes);
    for await (const { logical, physical, count } of this.runs(inode)) {
      const from = logical * this.blockBytes;
      const length = Math.min(count * this.blockBytes, sizeBytes - from);
      if (length > 0) (await this.#readChecked(physical * this.blockBytes, length)).copy(content, from);
    }
    return content;
  }

  /** Where its blocks lie, in order; nothing for holes. */
  async *runs(inode: Inode): AsyncGenerator<BlockRun, void, void> {
    for await (const run of blockRuns(this, inode)) {
      this.#spend(run.count);
      yield run;
    }
  }

  async readBlock(number: number): Promise<Buffer> {
    this.#spend(1);
    return await this.#readChecked(number * this.blockBytes, this.blockBytes);
  }

  async #inodeTable(group: number): Promise<number> {
    const { descriptorsOffset, descriptorBytes } = this.#superblock;
    const descriptor = await this.#readChecked(descriptorsOffset + group * descriptorBytes, descriptorBytes);
    return (
      descriptor.readUInt32LE(0x08) + (descriptorBytes >= 64 ? descriptor.readUInt32LE(0x28) * 2 ** 32 : 0)
    );
  }

  async #readChecked(offset: number, length: number): Promise<Buffer> {
    if (offset + length > this.blocks * this.blockBytes) {
      throw new DecodeError(`${length} bytes at byte ${offset} are beyond the volume's end`);
    }
    return await this.#read(offset, length);
  }

  #spend(blocks: number): void {
    this.#blocksLeft -= blocks;
    if (this.#blocksLeft < 0)
      throw new DecodeError(`files claim more blocks than the volume's ${this.blocks}`);
  }
}

/** Of a name or a link's target: text where it is UTF-8, otherwise each of its bytes as \xNN. */
export function displayName(bytes: string): string {
  const text = Buffer.from(bytes, "latin1").toString("utf8");
  if (!text.includes("\ufffd")) return text;
  return bytes.replaceAll(/[^\x20-\x7e]/g, byte => `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
