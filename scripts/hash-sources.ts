/** One hash over everything that a build is made of, so that an unchanged tree is not built again. */
import { createHash } from "node:crypto";
import { glob, readFile } from "node:fs/promises";

const SOURCES = ["src/**/*", "boot/**/*", "scripts/**/*", "package-lock.json"];

export async function hashSources(): Promise<string> {
  const hash = createHash("sha256");
  for (const pattern of SOURCES) {
    const files: string[] = [];
    for await (const entry of glob(pattern, { withFileTypes: true })) {
      if (entry.isFile()) files.push(`${entry.parentPath}/${entry.name}`);
    }
    for (const file of files.sort()) {
      hash
        .update(file)
        .update("\0")
        .update(await readFile(file));
    }
  }
  return hash.digest("hex");
}
