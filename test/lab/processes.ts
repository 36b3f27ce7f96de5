/** Processes that the lab starts and, whatever happens, ends again: each by its own process id. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** How long a process may take to end by itself after SIGTERM before it is killed. */
const GRACE_MS = 10_000;
const LOOK_EVERY_MS = 200;

export interface LabProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  /** Resolves with what ended it. */
  readonly exited: Promise<string>;
  /** As a power cut or a crash does it. */
  kill(): Promise<void>;
}

/** Starts a process whose output goes to a file; disposing it ends it. */
export function startProcess(
  [command = "", ...args]: readonly string[],
  options: { logFile: string; env?: Record<string, string> },
): LabProcess {
  const log = createWriteStream(options.logFile, { flags: "a" });
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...options.env },
  });
  child.stdout?.pipe(log, { end: false });
  child.stderr?.pipe(log, { end: false });
  const exited = once(child, "close").then(([code, signal]) => {
    log.end();
    return signal === null ? `exit code ${code}` : `signal ${signal}`;
  });
  const stop = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    const killer = setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
    await exited;
    clearTimeout(killer);
  };
  return { child, exited, kill: () => stop("SIGKILL"), [Symbol.asyncDispose]: () => stop("SIGTERM") };
}

/** @throws Error when the file does not show it in time */
export async function untilFileShows(file: string, pattern: RegExp, withinMs: number): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (Date.now() < deadline) {
    if (pattern.test(await readFile(file, "latin1").catch(() => ""))) return;
    await delay(LOOK_EVERY_MS);
  }
  throw new Error(`${file} did not show ${pattern} within ${withinMs / 1000} s`);
}

/** Runs a command to its end. @returns its standard output; throws with its standard error when it fails */
export async function run(
  [command = "", ...args]: readonly string[],
  options: { env?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<string> {
  try {
    const { stdout } = await execute(command, args, {
      ...options,
      env: { ...process.env, ...options.env },
      maxBuffer: 16 * 1024 * 1024,
    });
    return stdout;
  } catch (error) {
    const { stderr = "", code } = error as { stderr?: string; code?: number | string };
    throw new Error(`${[command, ...args].join(" ")} ended with ${code}: ${stderr.trim()}`, { cause: error });
  }
}
