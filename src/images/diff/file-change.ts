/** One difference between two file systems, as people and programs read it. */
import type { InodeKind } from "../ext4-reader/inode.ts";

interface Pair {
  readonly before: string;
  readonly after: string;
}

export interface FileChange {
  /** From the root, without a leading slash. */
  readonly path: string;
  readonly change: "added" | "removed" | "changed";
  readonly type: InodeKind;
  /** Of regular files; null for others, and where the file is not. */
  readonly sizeBefore: number | null;
  readonly sizeAfter: number | null;
  /** Whether the bytes of a file that both have differ. */
  readonly content: boolean;
  readonly kind?: Pair;
  /** Octal: "4755". Of a file that came or went only where it is setuid or setgid; empty where it is not. */
  readonly mode?: Pair;
  /** "UID:GID" */
  readonly owner?: Pair;
  /** Of symbolic links and devices. */
  readonly target?: Pair;
  /** Names of extended attributes that came, went or have another value. */
  readonly attributes?: readonly string[];
}
