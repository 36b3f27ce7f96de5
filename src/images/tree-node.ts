/**
 * What a file system is made of, as data. Names, paths and link targets are byte strings: one character (0–255) for each byte,
 * as a file system keeps them, whatever their encoding. `Buffer.from(name, "latin1")` gives the bytes.
 */

export interface NodeAttributes {
  /** Permission bits with setuid, setgid and sticky: at most 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Whole seconds since 1970; may be negative. */
  readonly mtime: number;
  /** By full name: "security.capability". */
  readonly xattrs: ReadonlyMap<string, Buffer>;
}

/** A stretch of a regular file that has bytes of its own. */
export interface ContentRun {
  readonly offsetBytes: number;
  readonly sizeBytes: number;
  /** Where it lies in `FileContent.path`. */
  readonly storedAtBytes: number;
}

/** Bytes of a regular file, kept in a plain file of ours. */
export interface FileContent {
  readonly path: string;
  readonly sizeBytes: number;
  /** In order, apart from each other; between them is a hole. */
  readonly runs: readonly ContentRun[];
}

export type NodeBody =
  | { readonly kind: "file"; readonly content: FileContent }
  | { readonly kind: "symlink"; readonly target: string }
  | { readonly kind: "character-device" | "block-device"; readonly major: number; readonly minor: number }
  | { readonly kind: "fifo" };

export type DirectoryNode = NodeAttributes & {
  readonly kind: "directory";
  readonly children: Map<string, TreeNode>;
};

/** Two names of one node are hard links of each other. */
export type TreeNode = (NodeAttributes & NodeBody) | DirectoryNode;
