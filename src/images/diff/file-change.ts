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
  /** Octal: "4755". */
  readonly mode?: Pair;
  /** "UID:GID" */
  readonly owner?: Pair;
  /** Of symbolic links and devices. */
  readonly target?: Pair;
  /** Names of extended attributes that came, went or have another value. */
  readonly attributes?: readonly string[];
}

/** How much a change weighs: in bytes that came, went or were replaced. */
export function weightOf({ sizeBefore, sizeAfter, content, change }: FileChange): number {
  if (change === "changed" && !content) return 0;
  return Math.max(sizeBefore ?? 0, sizeAfter ?? 0);
}
