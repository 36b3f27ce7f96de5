/** The real world for commands: terminal, clock, files, the hub. */
import { createReadStream, openSync, readFileSync } from "node:fs";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { DrpError } from "../../core/errors.ts";
import type { CliContext, GlobalFlags } from "../cli.ts";
import { Output } from "../output.ts";
import { findConnection } from "./find-connection.ts";
import { HttpsApiClient } from "./https-api-client.ts";
import { startProgressBar } from "./progress-bar.ts";
import { TerminalScreen } from "./terminal-screen.ts";

/** @returns the context and how to let go of its connections */
export function openContext(flags: GlobalFlags): { context: CliContext; close: () => void } {
  const { stdout, stderr, env } = process;
  let client: HttpsApiClient | undefined;
  const interrupted = new AbortController();
  const onInterrupt = () => interrupted.abort();
  const context: CliContext = {
    out: new Output({
      format: flags.output ?? (stdout.isTTY ? "table" : "json"),
      color: flags.color && stdout.isTTY && !env.NO_COLOR && env.TERM !== "dumb",
      widthColumns: stdout.isTTY ? stdout.columns : Infinity,
      write: text => stdout.write(text),
      note: text => stderr.write(text),
    }),
    now: Date.now,
    api: () => {
      client ??= new HttpsApiClient(findConnection(env, process.getuid?.() === 0));
      return client;
    },
    startProgress: () => startProgressBar(stderr),
    openScreen: () => (stdout.isTTY ? new TerminalScreen(stdout) : undefined),
    openFile,
    readTextFile,
    get interrupted() {
      process.once("SIGINT", onInterrupt);
      return interrupted.signal;
    },
    sleep: (durationMs, signal) =>
      sleep(durationMs, undefined, signal ? { signal } : {}).catch(() => undefined),
  };
  return {
    context,
    close: () => {
      process.off("SIGINT", onInterrupt);
      client?.close();
    },
  };
}

function openFile(file: string): Readable {
  const fd = orUnreadable(file, () => openSync(file, "r"));
  return createReadStream(file, { fd, highWaterMark: 1024 * 1024 });
}

function readTextFile(file: string): string {
  return orUnreadable(file, () => readFileSync(file, "utf8"));
}

function orUnreadable<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new DrpError("input.unreadable", `cannot read ${file}`, {
      cause,
      advice: "Check the file's name and rights.",
    });
  }
}
