/** The hub of the lab: the single executable in a namespace, used through its own command line. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Namespace } from "./namespace.ts";
import { type LabProcess, run, startProcess } from "./processes.ts";

export const DRP = resolve("dist/drp");

export interface LabEvent {
  readonly kind: string;
  readonly mac: string | null;
  readonly machineId: string | null;
  readonly siteId: string | null;
  readonly summary: string;
}

export interface LabHub extends AsyncDisposable {
  readonly dataFolder: string;
  readonly logFile: string;
  /** Runs `drp ARGUMENTS` as an operator on the hub's host. @returns its standard output */
  drp(...args: string[]): Promise<string>;
  /** As `drp`, with JSON lines parsed. */
  query<T>(...args: string[]): Promise<T[]>;
  watchEvents(listener: (event: LabEvent) => void): AsyncDisposable;
  /** Resolves with the next event that a watcher is told. */
  nextEvent(): Promise<void>;
  /** kill -9, and a new start on the same data. */
  crashAndRestart(): Promise<void>;
}

export interface HubOptions {
  readonly namespace: Namespace;
  readonly folder: string;
  /** Lines of drp.yaml beside `data`. */
  readonly config: readonly string[];
  readonly signal: AbortSignal;
}

export async function startHub({ namespace, folder, config, signal }: HubOptions): Promise<LabHub> {
  const dataFolder = join(folder, "hub");
  const logFile = join(folder, "hub.log");
  const configFile = join(folder, "drp.yaml");
  await writeFile(configFile, [`data: ${dataFolder}`, ...config, ""].join("\n"));
  const env = { DRP_DATA: dataFolder };
  const drp = (...args: string[]) => run([...namespace.enter, DRP, ...args], { env, signal });
  const start = async (): Promise<LabProcess> => {
    const started = startProcess([...namespace.enter, DRP, "serve", "--config", configFile], { logFile });
    await Promise.race([
      drp("status", "--wait", "--timeout", "30s"),
      started.exited.then(how => {
        throw new Error(`the hub ended at its start (${how}); its log is ${logFile}`);
      }),
    ]);
    return started;
  };
  let running = await start();
  let told = Promise.withResolvers<void>();
  return {
    dataFolder,
    logFile,
    drp,
    async query(...args) {
      const lines = (await drp(...args, "-o", "json")).split("\n").filter(line => line !== "");
      return lines.map(line => JSON.parse(line));
    },
    watchEvents: listener =>
      watchEvents(namespace, env, event => {
        listener(event);
        told.resolve();
        told = Promise.withResolvers();
      }),
    nextEvent: () => told.promise,
    async crashAndRestart() {
      await running.kill();
      running = await start();
    },
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

function watchEvents(
  namespace: Namespace,
  env: Record<string, string>,
  listener: (event: LabEvent) => void,
): AsyncDisposable {
  const [command = "", ...args] = [...namespace.enter, DRP, "events", "watch", "-o", "json"];
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "ignore"], // it says that it connects again: the timeline has the crash itself
    env: { ...process.env, ...env },
  });
  createInterface({ input: child.stdout }).on("line", line => listener(JSON.parse(line)));
  const ended = once(child, "close");
  return {
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}
