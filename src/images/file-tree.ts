/**
 * A file system as data, before it becomes one: what tar entries and OCI layers are laid into. Nothing is ever unpacked onto
 * the host, so no name and no link of an archive can reach out of the tree, and no right to make devices is needed.
 */
import {
  type ArchiveEntry,
  entryError,
  findProblem,
  MAX_DEPTH,
  parseArchivePath,
  showName,
} from "./archive-entry.ts";
import { measureXattrs } from "./ext4-writer/xattrs.ts";
import type { DirectoryNode, NodeAttributes, TreeNode } from "./tree-node.ts";

/** Ten times a large Debian system; a node takes some 500 bytes of memory. */
const MAX_ENTRIES = 1_000_000;
/** Of names, link targets, extended attributes and maps of sparse files together. */
const MAX_METADATA_BYTES = 256 * 1024 * 1024;
const RUN_BYTES = 32;
/** The kernel's own limit (MAXSYMLINKS). */
const MAX_LINKS_FOLLOWED = 40;

/** Names of whiteouts (OCI image specification, layer.md). */
const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";
/** Aufs' own bookkeeping, which every reader of layers leaves out. */
const AUFS = ".wh..wh.";

/** Of a directory that the archive leaves out. */
const IMPLIED: NodeAttributes = { mode: 0o755, uid: 0, gid: 0, mtime: 0, xattrs: new Map() };

interface WalkOptions {
  /** Makes what is missing, and marks what is passed as laid by the layer in work. */
  readonly makeDirectories: boolean;
  readonly followLinks: boolean;
}

type Walk = { readonly node: TreeNode | undefined } | { readonly problem: string };

export class FileTree {
  #root = makeDirectory(IMPLIED);
  #entries = 0;
  #metadataBytes = 0;
  /** Names that the layer in work has laid, by the children they are among; undefined in a plain archive. */
  #laidNow: Map<DirectoryNode["children"], Set<string>> | undefined;
  /** Those in which the layer in work has hidden all that earlier layers laid: nothing of theirs comes back. */
  #emptiedNow = new Set<DirectoryNode["children"]>();

  get root(): DirectoryNode {
    return this.#root;
  }

  /**
   * From now on entries belong to the next OCI layer: its whiteouts hide what earlier layers laid and never its own, its files
   * replace directories, and symbolic links in the way are followed within the tree. Without layers both are errors.
   */
  beginLayer(): void {
    this.#laidNow = new Map();
    this.#emptiedNow = new Set();
  }

  /** @throws {DrpError} input.unreadable with the entry's name and offset; the tree is then of no use */
  lay(entry: ArchiveEntry): void {
    const names = this.#parse(entry, entry.name);
    this.#count(entry);
    const problem = findProblem(entry);
    if (problem !== undefined) throw entryError(entry, problem);
    const name = names.pop();
    if (name === undefined) {
      if (entry.body.kind !== "directory") throw entryError(entry, "is not a directory, as the root must be");
      this.#root = makeDirectory(entry.attributes, this.#root.children);
      return;
    }
    if (this.#laidNow !== undefined && name.startsWith(WHITEOUT)) {
      this.#hide(entry, names, name);
      return;
    }
    const { children } = this.#directoryOf(entry, names);
    children.set(name, this.#makeNode(entry, children.get(name)));
    this.#markLaid(children, name);
  }

  /** @returns what stands there, symbolic links followed within the tree; undefined for nothing */
  find(path: string): TreeNode | undefined {
    const parsed = parseArchivePath(path);
    if ("problem" in parsed) return undefined;
    const walk = this.#walk(parsed.names, { makeDirectories: false, followLinks: true });
    return "node" in walk ? walk.node : undefined;
  }

  #parse(entry: ArchiveEntry, path: string): string[] {
    const parsed = parseArchivePath(path);
    if ("problem" in parsed) throw entryError(entry, parsed.problem);
    return parsed.names;
  }

  #count(entry: ArchiveEntry): void {
    const { body, attributes, name } = entry;
    this.#entries++;
    this.#metadataBytes += name.length + measureXattrs(attributes.xattrs);
    if ("target" in body) this.#metadataBytes += body.target.length;
    if (body.kind === "file") this.#metadataBytes += RUN_BYTES * body.content.runs.length;
    if (this.#entries > MAX_ENTRIES)
      throw entryError(entry, `comes after ${MAX_ENTRIES} others, the most taken`);
    if (this.#metadataBytes > MAX_METADATA_BYTES) {
      throw entryError(entry, `brings names, links and attributes to over ${MAX_METADATA_BYTES} bytes`);
    }
  }

  #makeNode(entry: ArchiveEntry, old: TreeNode | undefined): TreeNode {
    const { attributes, body } = entry;
    if (body.kind === "directory") {
      return makeDirectory(attributes, old?.kind === "directory" ? old.children : undefined);
    }
    if (old?.kind === "directory" && old.children.size > 0 && this.#laidNow === undefined) {
      throw entryError(entry, "would replace a directory that is not empty");
    }
    return body.kind === "hard-link" ? this.#linkedNode(entry, body.target) : { ...attributes, ...body };
  }

  /** The target itself may be a symbolic link, which is then not followed. */
  #linkedNode(entry: ArchiveEntry, target: string): TreeNode {
    const refuse = (what: string) =>
      entryError(entry, `is a hard link to ${showName(target)}, which ${what}`);
    const parsed = parseArchivePath(target);
    if ("problem" in parsed) throw refuse(parsed.problem);
    const { names } = parsed;
    const name = names.pop();
    const walk = this.#walk(names, { makeDirectories: false, followLinks: this.#laidNow !== undefined });
    if ("problem" in walk) throw refuse(walk.problem);
    const { node: directory } = walk;
    if (name === undefined) throw refuse("is the root");
    const node = directory?.kind === "directory" ? directory.children.get(name) : undefined;
    if (node === undefined) throw refuse("is not there");
    if (node.kind === "directory") throw refuse("is a directory");
    return node;
  }

  /** Where an entry belongs; made where the archive leaves it out. */
  #directoryOf(entry: ArchiveEntry, names: readonly string[]): DirectoryNode {
    const walk = this.#walk(names, { makeDirectories: true, followLinks: this.#laidNow !== undefined });
    if ("problem" in walk) throw entryError(entry, walk.problem);
    if (walk.node?.kind !== "directory") throw entryError(entry, "lies below what is no directory");
    return walk.node;
  }

  #walk(names: readonly string[], { makeDirectories, followLinks }: WalkOptions): Walk {
    const ahead = names.toReversed();
    const trail: DirectoryNode[] = [];
    let at: TreeNode = this.#root;
    let linksFollowed = 0;
    for (let name = ahead.pop(); name !== undefined; name = ahead.pop()) {
      if (name === "" || name === ".") continue;
      if (at.kind !== "directory") return { problem: `lies below a ${at.kind}` };
      // Links can lead deeper than any one name.
      if (trail.length >= MAX_DEPTH) return { problem: `lies over ${MAX_DEPTH} directories deep` };
      if (name === "..") {
        const parent = trail.pop();
        if (parent === undefined)
          return { problem: "goes through a symbolic link that leads out of the root" };
        at = parent;
        continue;
      }
      let next = at.children.get(name);
      if (next === undefined) {
        if (!makeDirectories) return { node: undefined };
        this.#entries++;
        next = makeDirectory(IMPLIED);
        at.children.set(name, next);
      }
      if (next.kind === "symlink") {
        if (!followLinks) return { problem: `goes through the symbolic link ${showName(name)}` };
        if (++linksFollowed > MAX_LINKS_FOLLOWED) return { problem: "goes through too many symbolic links" };
        if (next.target.startsWith("/")) {
          trail.length = 0;
          at = this.#root;
        }
        ahead.push(...next.target.split("/").toReversed());
        continue;
      }
      if (makeDirectories) this.#markLaid(at.children, name);
      trail.push(at);
      at = next;
    }
    return { node: at };
  }

  #markLaid(children: DirectoryNode["children"], name: string): void {
    if (this.#laidNow === undefined) return;
    const names = this.#laidNow.get(children);
    if (names === undefined) this.#laidNow.set(children, new Set([name]));
    else names.add(name);
  }

  #hide(entry: ArchiveEntry, names: readonly string[], whiteout: string): void {
    const isBookkeeping = whiteout.startsWith(AUFS) && whiteout !== OPAQUE;
    if (isBookkeeping) return;
    const walk = this.#walk(names, { makeDirectories: false, followLinks: true });
    if ("problem" in walk) throw entryError(entry, walk.problem);
    if (walk.node?.kind !== "directory") return;
    const { children } = walk.node;
    if (whiteout === OPAQUE) {
      this.#hideAll(children);
      return;
    }
    const hidden = whiteout.slice(WHITEOUT.length);
    if (hidden === "" || hidden === "." || hidden === "..") throw entryError(entry, "hides no name");
    this.#hideOne(children, hidden);
  }

  #hideAll(children: DirectoryNode["children"]): void {
    if (this.#emptiedNow.has(children)) return;
    this.#emptiedNow.add(children);
    for (const name of [...children.keys()]) this.#hideOne(children, name);
  }

  /** What the same layer laid stays, wherever in it the whiteout stands. */
  #hideOne(children: DirectoryNode["children"], name: string): void {
    const isLaidNow = this.#laidNow?.get(children)?.has(name) === true;
    const node = children.get(name);
    if (!isLaidNow) children.delete(name);
    else if (node?.kind === "directory") this.#hideAll(node.children);
  }
}

function makeDirectory(
  { mode, uid, gid, mtime, xattrs }: NodeAttributes,
  children: DirectoryNode["children"] = new Map(),
): DirectoryNode {
  return { mode, uid, gid, mtime, xattrs, kind: "directory", children };
}
