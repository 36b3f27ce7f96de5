/** Gives every node of a tree its inode: directories before what they hold, names in the order of their bytes. */
import { DrpError } from "../../core/errors.ts";
import { showName } from "../archive-entry.ts";
import type { DirectoryNode, TreeNode } from "../tree-node.ts";
import { FIRST_FREE_INODE, ROOT_INODE } from "./constants.ts";
import type { NamedInode } from "./directory-blocks.ts";
import { MAX_LINKS } from "./inode.ts";

export interface NumberedNode {
  readonly number: number;
  readonly node: TreeNode;
  links: number;
  /** Of a directory: itself, its parent, and what it holds. */
  readonly entries: readonly NamedInode[];
}

/** @throws {DrpError} request.invalid for a file of too many names */
export function numberInodes(root: DirectoryNode): NumberedNode[] {
  const numbered = new Map<TreeNode, NumberedNode>();
  let next = FIRST_FREE_INODE;
  const visitDirectory = (directory: DirectoryNode, number: number, parent: number): NumberedNode => {
    const entries: NamedInode[] = [
      { name: ".", inode: number, kind: "directory" },
      { name: "..", inode: parent, kind: "directory" },
    ];
    const visited = { number, node: directory, links: 2, entries };
    numbered.set(directory, visited);
    for (const [name, node] of [...directory.children].sort(byName)) {
      let child = numbered.get(node);
      if (child !== undefined) child.links++;
      else if (node.kind === "directory") {
        child = visitDirectory(node, next++, number);
        visited.links++;
      } else {
        child = { number: next++, node, links: 1, entries: [] };
        numbered.set(node, child);
      }
      if (child.links > MAX_LINKS && node.kind !== "directory") {
        throw new DrpError("request.invalid", `${showName(name)} has more than ${MAX_LINKS} names`, {
          advice: "Make some of its hard links files of their own.",
        });
      }
      entries.push({ name, inode: child.number, kind: node.kind });
    }
    return visited;
  };
  visitDirectory(root, ROOT_INODE, ROOT_INODE);
  return [...numbered.values()];
}

function byName([a]: readonly [string, TreeNode], [b]: readonly [string, TreeNode]): number {
  return a < b ? -1 : 1;
}
