/** The system's own programs as independent readers of what we wrote. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "vitest";

/** Skips the test, with the reason, when a program is not installed. */
export function needTools(context: TestContext, ...names: string[]): void {
  const missing = names.filter(name => spawnSync(name, ["--version"]).error !== undefined);
  if (missing.length > 0) context.skip(`not installed: ${missing.join(", ")}`);
}

export function runTool(name: string, ...args: string[]): string {
  return execFileSync(name, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

export class TemporaryFolder implements Disposable {
  readonly path: string;

  /** @param parent an existing folder */
  constructor(parent: string = tmpdir()) {
    this.path = mkdtempSync(join(parent, "drp-test-"));
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

/** A byte pattern that differs from disk to disk and is the same in every run. */
export function countingBytes(count: number, seed = 0): Buffer {
  return Buffer.from(
    Uint8Array.from({ length: count }, (_, index) => (index * 31 + (index >> 8) + seed) & 0xff),
  );
}
