/** JSON files of the machine: read through a schema, replaced so that a power cut leaves the old or the new one. */
import { open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import type { z } from "zod";
import { DrpError } from "../../../core/errors.ts";

/** @throws {DrpError} input.unreadable naming the file, with `advice` */
export async function readJsonFile<T>(path: string, schema: z.ZodType<T>, advice: string): Promise<T> {
  try {
    return schema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (cause) {
    throw new DrpError("input.unreadable", `${path} cannot be used`, { advice, cause });
  }
}

export async function replaceJsonFile(path: string, content: unknown): Promise<void> {
  const temporary = `${path}.new`;
  {
    await using file = await open(temporary, "w", 0o600);
    await file.writeFile(JSON.stringify(content));
    await file.sync();
  }
  await rename(temporary, path);
  // The rename itself lives in the folder.
  await using folder = await open(dirname(path), "r");
  await folder.sync();
}
