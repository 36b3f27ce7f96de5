/** A root file system as a plan: what lies where. It becomes a cpio archive or a folder; building it needs no root. */
import { readFileSync } from "node:fs";
import { chmod, copyFile, lutimes, mkdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import type { CpioEntry } from "../src/images/cpio.ts";

type Node =
  | { readonly kind: "file"; readonly permissions: number; readonly source: string }
  | { readonly kind: "text"; readonly permissions: number; readonly text: string }
  | { readonly kind: "symlink"; readonly target: string }
  | { readonly kind: "directory"; readonly permissions: number }
  | {
      readonly kind: "character-device";
      readonly permissions: number;
      readonly major: number;
      readonly minor: number;
    };

/** Paths are absolute in the machine: "/usr/bin/drp". Folders above a path are made with it. */
export class FileTree {
  readonly #nodes = new Map<string, Node>();

  /** @param source a file on this host; read when the tree is written */
  addFile(target: string, source: string, permissions = 0o644): void {
    this.#add(target, { kind: "file", permissions, source });
  }

  addText(target: string, text: string, permissions = 0o644): void {
    this.#add(target, { kind: "text", permissions, text });
  }

  addSymlink(path: string, target: string): void {
    this.#add(path, { kind: "symlink", target });
  }

  addDirectory(target: string, permissions = 0o755): void {
    this.#add(target, { kind: "directory", permissions });
  }

  addCharacterDevice(target: string, permissions: number, major: number, minor: number): void {
    this.#add(target, { kind: "character-device", permissions, major, minor });
  }

  has(target: string): boolean {
    return this.#nodes.has(target);
  }

  /** Sorted by path, which puts a folder before what it holds; one file's contents in memory at a time. */
  *cpioEntries(): Generator<CpioEntry> {
    for (const [target, node] of this.#sorted()) {
      const path = target.slice(1);
      if (node.kind === "file") {
        yield { kind: "file", path, permissions: node.permissions, contents: readFileSync(node.source) };
      } else if (node.kind === "text") {
        yield { kind: "file", path, permissions: node.permissions, contents: Buffer.from(node.text) };
      } else {
        yield { ...node, path };
      }
    }
  }

  /**
   * Writes the tree as a folder. Device nodes are left out: only root could make them, and a system whose `/dev` is a
   * devtmpfs has its own.
   *
   * @param folder made when missing; what it held already stays
   * @param modifiedAtSeconds since 1970, the same for all, so that equal inputs give equal images
   */
  async writeTo(folder: string, modifiedAtSeconds: number): Promise<void> {
    const nodes = this.#sorted();
    await mkdir(folder, { recursive: true });
    for (const [target, node] of nodes) await writeNode(path.join(folder, target), node);
    for (const [target, node] of nodes) {
      if (node.kind === "character-device") continue;
      await lutimes(path.join(folder, target), modifiedAtSeconds, modifiedAtSeconds);
    }
    await lutimes(folder, modifiedAtSeconds, modifiedAtSeconds);
  }

  #sorted(): [string, Node][] {
    return [...this.#nodes].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  #add(target: string, node: Node): void {
    for (let above = path.dirname(target); above !== "/"; above = path.dirname(above)) {
      if (!this.#nodes.has(above)) this.#nodes.set(above, { kind: "directory", permissions: 0o755 });
    }
    this.#nodes.set(target, node);
  }
}

async function writeNode(target: string, node: Node): Promise<void> {
  if (node.kind === "directory") await mkdir(target, { recursive: true });
  else if (node.kind === "file") await copyFile(node.source, target);
  else if (node.kind === "text") await writeFile(target, node.text);
  else if (node.kind === "symlink") await symlink(node.target, target);
  if (node.kind === "directory" || node.kind === "file" || node.kind === "text") {
    await chmod(target, node.permissions);
  }
}
