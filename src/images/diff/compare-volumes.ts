/**
 * Walks two file systems side by side, a directory at a time, and says what differs. Of the trees only the path that it stands
 * at is in memory, besides what it found and files that wait to be read in the order in which they lie on the disk.
 */
import { DecodeError } from "../../core/errors.ts";
import type { DirectoryEntry } from "../ext4-reader/directory.ts";
import { deviceNumber, type Inode } from "../ext4-reader/inode.ts";
import { displayName, type Ext4Volume, ROOT_INODE } from "../ext4-reader/volume.ts";
import { ChangeList } from "./change-list.ts";
import { equalContent, type Side } from "./compare-content.ts";
import type { FileChange } from "./file-change.ts";

/** Names in both images together: ten times a full desktop system. */
const MAX_NAMES = 5_000_000;
/** Files with several names whose comparison is remembered; the others are compared again. */
const MAX_LINKS = 100_000;
/** The kernel opens no longer path. */
const MAX_PATH_BYTES = 4096;
/** Files that wait to be read: enough to read the disk nearly in one sweep. */
const MAX_WAITING = 20_000;
/** Their paths and names of attributes; an honest system's 20,000 have 2 MB. */
const MAX_WAITING_CHARACTERS = 8 * 1024 * 1024;

const SET_ID = 0o6000;

type Sides = readonly [before: Side, after: Side];

/** @throws {DecodeError} naming the path, when an image contradicts itself */
export async function compareVolumes(sides: Sides): Promise<ChangeList> {
  return await new TreeComparison(sides).run();
}

interface Waiting {
  readonly before: Inode;
  readonly after: Inode;
  readonly offset: number;
  /** What else differs. */
  readonly found: FileChange;
}

class TreeComparison {
  readonly #sides: Sides;
  readonly #changes = new ChangeList();
  readonly #seen: readonly [Set<number>, Set<number>] = [new Set(), new Set()];
  /** "INODE:INODE" of files with several names → whether they hold the same. */
  readonly #links = new Map<string, boolean>();
  #waiting: Waiting[] = [];
  #waitingCharacters = 0;
  #names = 0;

  constructor(sides: Sides) {
    this.#sides = sides;
  }

  async run(): Promise<ChangeList> {
    const [one, other] = this.#sides;
    const before = await one.volume.readInode(ROOT_INODE);
    const after = await other.volume.readInode(ROOT_INODE);
    await this.#compare("", before, after);
    await this.#readWaiting();
    return this.#changes;
  }

  async #compareDirectories(
    path: string,
    before: Inode | undefined,
    after: Inode | undefined,
  ): Promise<void> {
    const left = await this.#enter(0, path, before);
    const right = await this.#enter(1, path, after);
    for (const [name, a, b] of inStep(left, right)) {
      const child = path === "" ? name : `${path}/${name}`;
      if (child.length > MAX_PATH_BYTES) throw new DecodeError(`a path of more than ${MAX_PATH_BYTES} bytes`);
      const [one, other] = this.#sides;
      await this.#compare(
        child,
        a === undefined ? undefined : await one.volume.readInode(a),
        b === undefined ? undefined : await other.volume.readInode(b),
      );
    }
  }

  async #compare(path: string, before: Inode | undefined, after: Inode | undefined): Promise<void> {
    if (before !== undefined && after !== undefined) await this.#compareInodes(path, before, after);
    else this.#addWhole(path, before, after);
    const left = before?.kind === "directory" ? before : undefined;
    const right = after?.kind === "directory" ? after : undefined;
    if (left !== undefined || right !== undefined) await this.#compareDirectories(path, left, right);
  }

  #addWhole(path: string, before: Inode | undefined, after: Inode | undefined): void {
    const inode = before ?? after;
    if (inode === undefined) return;
    this.#changes.add({
      path: displayName(path),
      change: before === undefined ? "added" : "removed",
      type: inode.kind,
      sizeBefore: sizeOf(before),
      sizeAfter: sizeOf(after),
      content: false,
      // A file that runs as somebody else must not hide among a thousand new ones.
      ...((inode.mode & SET_ID) === 0 ? {} : { mode: { before: modeOf(before), after: modeOf(after) } }),
    });
  }

  async #compareInodes(path: string, before: Inode, after: Inode): Promise<void> {
    const found = await this.#compareAttributes(path, before, after);
    if (before.kind !== "file" || after.kind !== "file") return this.#settle(found, false);
    if (before.sizeBytes !== after.sizeBytes) return this.#settle(found, true);
    const known = this.#links.get(linkKey(before, after)) ?? (await this.#isEqual(before, after, false));
    if (known !== undefined) return this.#settle(found, !known);
    const [one] = this.#sides;
    const offset = await firstOffset(one.volume, before);
    this.#waiting.push({ before: withoutAttributes(before), after: withoutAttributes(after), offset, found });
    this.#waitingCharacters += charactersOf(found);
    if (this.#waiting.length >= MAX_WAITING || this.#waitingCharacters >= MAX_WAITING_CHARACTERS) {
      await this.#readWaiting();
    }
  }

  /** In the order of the disk, so that each chunk is decompressed about once. */
  async #readWaiting(): Promise<void> {
    const waiting = this.#waiting.sort((one, other) => one.offset - other.offset);
    this.#waiting = [];
    this.#waitingCharacters = 0;
    for (const { before, after, found } of waiting) {
      const key = linkKey(before, after);
      const isEqual = this.#links.get(key) ?? (await this.#isEqual(before, after, true)) ?? false;
      const isLinked = before.links > 1 && after.links > 1;
      if (isLinked && this.#links.size < MAX_LINKS) this.#links.set(key, isEqual);
      this.#settle(found, !isEqual);
    }
  }

  #isEqual(before: Inode, after: Inode, mayRead: boolean): Promise<boolean | undefined> {
    return equalContent(this.#sides, before, after, mayRead);
  }

  #settle(found: FileChange, content: boolean): void {
    const { kind, mode, owner, target, attributes } = found;
    const isOther = [kind, mode, owner, target, attributes].some(part => part !== undefined);
    if (content || isOther) this.#changes.add({ ...found, content });
  }

  async #compareAttributes(path: string, before: Inode, after: Inode): Promise<FileChange> {
    const [one, other] = this.#sides;
    const pair = (a: string, b: string) => (a === b ? undefined : { before: a, after: b });
    const kind = pair(before.kind, after.kind);
    const mode = pair(modeOf(before), modeOf(after));
    const owner = pair(`${before.uid}:${before.gid}`, `${after.uid}:${after.gid}`);
    const target = pair(await targetOf(one.volume, before), await targetOf(other.volume, after));
    const attributes = await this.#compareExtended(before, after);
    return {
      path: displayName(path),
      change: "changed",
      type: after.kind,
      sizeBefore: sizeOf(before),
      sizeAfter: sizeOf(after),
      content: false,
      ...(kind === undefined ? {} : { kind }),
      ...(mode === undefined ? {} : { mode }),
      ...(owner === undefined ? {} : { owner }),
      ...(target === undefined ? {} : { target }),
      ...(attributes.length === 0 ? {} : { attributes }),
    };
  }

  async #compareExtended(before: Inode, after: Inode): Promise<string[]> {
    const [one, other] = this.#sides;
    const left = await one.volume.readAttributes(before);
    const right = await other.volume.readAttributes(after);
    const names = [...new Set([...left.keys(), ...right.keys()])];
    return names
      .filter(name => {
        const [a, b] = [left.get(name), right.get(name)];
        return a === undefined || b === undefined || !a.equals(b);
      })
      .map(displayName);
  }

  async #enter(side: 0 | 1, path: string, inode: Inode | undefined): Promise<DirectoryEntry[]> {
    if (inode === undefined) return [];
    if (this.#seen[side].has(inode.number)) {
      throw new DecodeError(
        `/${displayName(path)} is a directory that has another name as well (inode ${inode.number})`,
      );
    }
    this.#seen[side].add(inode.number);
    const entries = await this.#sides[side].volume.readDirectory(inode);
    this.#names += entries.length;
    if (this.#names > MAX_NAMES) throw new DecodeError(`more than ${MAX_NAMES} names`);
    return entries;
  }
}

/** Merges two lists of names, each in order. */
function* inStep(
  left: readonly DirectoryEntry[],
  right: readonly DirectoryEntry[],
): Generator<readonly [name: string, before: number | undefined, after: number | undefined], void, void> {
  for (let i = 0, j = 0; i < left.length || j < right.length; ) {
    const [a, b] = [left[i], right[j]];
    const hasBefore = a !== undefined && (b === undefined || a.name <= b.name);
    const hasAfter = b !== undefined && (a === undefined || b.name <= a.name);
    yield [(hasBefore ? a : b)?.name ?? "", hasBefore ? a.inode : undefined, hasAfter ? b.inode : undefined];
    if (hasBefore) i++;
    if (hasAfter) j++;
  }
}

function charactersOf({ path, attributes = [] }: FileChange): number {
  return attributes.reduce((sum, name) => sum + name.length, path.length);
}

const NONE = Buffer.alloc(0);

/** What is compared already need not wait, nor the 8 KiB that a small buffer shares with others. */
function withoutAttributes(inode: Inode): Inode {
  const blockField = Buffer.alloc(inode.blockField.length);
  blockField.set(inode.blockField);
  return { ...inode, tail: NONE, blockField };
}

function linkKey(before: Inode, after: Inode): string {
  return `${before.number}:${after.number}`;
}

function sizeOf(inode: Inode | undefined): number | null {
  return inode?.kind === "file" ? inode.sizeBytes : null;
}

function modeOf(inode: Inode | undefined): string {
  return inode?.mode.toString(8) ?? "";
}

async function targetOf(volume: Ext4Volume, inode: Inode): Promise<string> {
  if (inode.kind === "symlink") return displayName(await volume.readLink(inode));
  return inode.kind === "block-device" || inode.kind === "character-device" ? deviceNumber(inode) : "";
}

async function firstOffset(volume: Ext4Volume, inode: Inode): Promise<number> {
  for await (const { physical } of volume.runs(inode)) return physical;
  return 0;
}
