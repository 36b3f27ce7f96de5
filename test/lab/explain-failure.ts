/** What a person needs when the lab fails: the error, and how each console and log ended. */
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { stripVTControlCharacters } from "node:util";

const SHOWN_LINES = 25;

export async function explainFailure(cause: unknown, logFiles: readonly string[]): Promise<Error> {
  const endings = await Promise.all(
    logFiles.map(async file => `${basename(file)} ended with:\n${await lastLines(file)}`),
  );
  const message = cause instanceof Error ? cause.message : String(cause);
  return new Error(`${message}\n${endings.join("\n")}`, { cause });
}

async function lastLines(file: string): Promise<string> {
  const text = await readFile(file, "utf8").catch(() => "(nothing)");
  return stripVTControlCharacters(text)
    .split(/\r?\n/)
    .filter(line => line.trim() !== "")
    .slice(-SHOWN_LINES)
    .map(line => `    ${line}`)
    .join("\n");
}
