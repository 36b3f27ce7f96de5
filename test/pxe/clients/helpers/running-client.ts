/** A client program that goes on running in a namespace until a test is done with it. */
import { spawn } from "node:child_process";
import { once } from "node:events";

export interface RunningClient extends AsyncDisposable {
  /** Resolves once the program has printed this, on either stream, since the last line that was waited for. */
  untilPrinted(text: string): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** Ends it as a power cut does. */
  [Symbol.asyncDispose](): Promise<void>;
}

export function startClient(namespace: string, program: readonly string[]): RunningClient {
  const child = spawn("ip", ["netns", "exec", namespace, ...program], {
    stdio: ["ignore", "pipe", "pipe"],
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
