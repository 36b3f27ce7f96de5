/**
 * A file system as data, before it becomes one: what tar entries and OCI layers are laid into. Nothing is ever unpacked onto
 * the host, so no name and no link of an archive can reach out of the tree, and no right to make devices is needed.
 */

interface NodeAttributes {
  /** Permission bits with setuid, setgid and sticky: at most 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** By full name: "security.capability". */
  readonly xattrs: ReadonlyMap<string, Buffer>;
}

/** Bytes of a regular file, in a plain file of ours; holes are holes there too. */
export interface FileContent {
  readonly path: string;
  readonly sizeBytes: number;
}

/** Two names of one node are hard links of each other. */
export type TreeNode = NodeAttributes &
  (
    | { readonly kind: "directory"; readonly children: Map<string, TreeNode> }
    | { readonly kind: "file"; readonly content: FileContent }
    | { readonly kind: "symlink"; readonly target: string }
    | { readonly kind: "character-device" | "block-device"; readonly major: number; readonly minor: number }
    | { readonly kind: "fifo" }
  );
