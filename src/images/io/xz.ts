/** Decompresses xz with the program `xz` of XZ Utils, in a process of its own (docs/decisions/0011). */
import { spawn } from "node:child_process";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { DrpError } from "../../core/errors.ts";

/**
 * `xz -9` needs 65 MiB; only windows that were asked for by hand need more. Blocks are decompressed side by side where the
 * file has several (XZ Utils 5.4).
 */
const ARGUMENTS = ["--decompress", "--stdout", "--format=xz", "--threads=0", "--memlimit-decompress=512MiB"];
/** "xz: (stdin): Unexpected end of input" */
const MAX_WORDS = 500;

/**
 * @param source given up at its end, and after an error
 * @param name of the file, for errors
 * @throws {DrpError} input.unreadable; tool.missing; what the source throws
 */
export async function* readXz(
  source: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<Buffer, void, void> {
  // XZ_OPT and XZ_DEFAULTS must not change what is read.
  const child = spawn("xz", ARGUMENTS, { env: { PATH: process.env.PATH, LC_ALL: "C" } });
  const ended = Promise.withResolvers<number | null>();
  child.on("error", ended.reject);
  child.on("close", ended.resolve);
  ended.promise.catch(() => {});
  let words = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    words = (words + text).slice(-MAX_WORDS);
  });
  let readBytes = 0;
  let outputBytes = 0;
  let sourceFailure: { readonly error: unknown } | undefined;
  async function* watched(): AsyncGenerator<Uint8Array, void, void> {
    try {
      for await (const piece of source) {
        readBytes += piece.length;
        yield piece;
      }
    } catch (error) {
      sourceFailure = { error };
      throw error;
    }
  }
  // It fails when the source does, and when xz ends early: told apart below.
  pipeline(Readable.from(watched(), { objectMode: false }), child.stdin).catch(() => {});
  try {
    for await (const piece of child.stdout as AsyncIterable<Buffer>) {
      outputBytes += piece.length;
      yield piece;
    }
    const exitCode = await ended.promise;
    if (sourceFailure !== undefined) throw sourceFailure.error;
    if (exitCode !== 0) throw explain(name, words, readBytes, outputBytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new DrpError("tool.missing", `xz is not installed, and ${name} is compressed with it`, {
      advice: "Install the package xz-utils, or decompress the file where xz is.",
      facts: { tool: "xz" },
    });
  } finally {
    child.kill("SIGKILL");
  }
}

function explain(name: string, words: string, readBytes: number, outputBytes: number): DrpError {
  const said =
    words
      .trim()
      .split("\n")
      .at(-1)
      ?.replace(/^xz: (\(stdin\): )?/, "") || "no message";
  const where = said.startsWith("Unexpected end")
    ? `the xz data is cut short after ${readBytes} bytes`
    : `the xz data cannot be read beyond byte ${outputBytes} of its content (${said})`;
  return new DrpError("input.unreadable", `${name}: ${where}`, {
    advice: "Copy or download it again, and compare its checksum.",
    facts: { readBytes, outputBytes },
  });
}
