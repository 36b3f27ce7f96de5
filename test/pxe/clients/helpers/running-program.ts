/** Programs that go on running in a namespace until a test is done with them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { onTestFinished } from "vitest";

export interface RunningProgram extends AsyncDisposable {
  /** Resolves once the program has printed this, on either stream, since the last line that was waited for. */
  untilPrinted(text: string): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** Ends it as a power cut does. */
  [Symbol.asyncDispose](): Promise<void>;
}

export function startProgram(namespace: string, program: readonly string[]): RunningProgram {
  const child = spawn("ip", ["netns", "exec", namespace, ...program], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
  });
  let printed = "";
  let look: (() => void) | undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      printed += chunk;
      look?.();
    });
  }
  const exited = once(child, "close").then(() => look?.());
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  return {
    untilPrinted: text =>
      new Promise((resolve, reject) => {
        look = () => {
          const found = printed.indexOf(text);
          if (found >= 0) {
            printed = printed.slice(found + text.length);
            resolve();
          } else if (hasEnded())
            reject(new Error(`${program[0]} ended and never said "${text}": ${printed}`));
        };
        look();
      }),
    // "ip netns exec" has become the program: the process id is its own.
    signal: name => void child.kill(name),
    [Symbol.asyncDispose]: async () => {
      if (!hasEnded()) child.kill("SIGKILL");
      await exited;
    },
  };
}

/** For use within a test: a test that is given up leaves nothing behind either. */
export function runUntilTestEnds(namespace: string, program: readonly string[]): RunningProgram {
  const running = startProgram(namespace, program);
  onTestFinished(() => running[Symbol.asyncDispose]());
  return running;
}

const BOOT_HTTP = new URL("boot-http-process.ts", import.meta.url).pathname;

/** Boot HTTP on port 8091, with one file as a loader. */
export async function startBootHttpIn(
  namespace: string,
  address: string,
  file: string,
): Promise<RunningProgram> {
  const server = startProgram(namespace, [process.execPath, BOOT_HTTP, address, "8091", file]);
  await server.untilPrinted("ready\n");
  return server;
}
