/** The hub of the lab: the single executable in the lab's namespace, used through its own command line. */
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { type LabNetwork, SITE_ADDRESS, SITE_NETWORK } from "./lab-network.ts";
import { type LabProcess, run, startProcess } from "./processes.ts";

const DRP = resolve("dist/drp");

export interface LabEvent {
  readonly kind: string;
  readonly mac: string | null;
  readonly machineId: string | null;
  readonly summary: string;
}

export interface LabHub extends AsyncDisposable {
  readonly process: LabProcess;
  readonly dataFolder: string;
  readonly logFile: string;
  readonly dashboard: string;
  /** Runs `drp ARGUMENTS` as an operator on the hub's host. @returns its standard output */
  drp(...args: string[]): Promise<string>;
  /** As `drp`, with JSON lines parsed. */
  query<T>(...args: string[]): Promise<T[]>;
  watchEvents(listener: (event: LabEvent) => void): AsyncDisposable;
}

export async function startHub(network: LabNetwork, folder: string, signal: AbortSignal): Promise<LabHub> {
  const dataFolder = join(folder, "data");
  const logFile = join(folder, "hub.log");
  const config = join(folder, "drp.yaml");
  await writeFile(
    config,
    [
      `data: ${dataFolder}`,
      "site:",
      "  name: lab",
      "  unknown: discover",
      "dhcp:",
      "  interfaces: [br0]",
      "  subnets:",
      `    - network: ${SITE_NETWORK}`,
      "      pools: [10.77.0.100-10.77.0.199]",
      `      router: ${SITE_ADDRESS}`,
      "",
    ].join("\n"),
  );
  const env = { DRP_DATA: dataFolder };
  const drp = (...args: string[]) => run([...network.enter, DRP, ...args], { env, signal });
  const process = startProcess([...network.enter, DRP, "serve", "--config", config], { logFile });
  await Promise.race([
    drp("status", "--wait", "--timeout", "30s"),
    process.exited.then(how => {
      throw new Error(`the hub ended at its start (${how}); its log is ${logFile}`);
    }),
  ]);
  return {
    process,
    dataFolder,
    logFile,
    dashboard: `https://${network.hostSideAddress}:8092`,
    drp,
    async query(...args) {
      const lines = (await drp(...args, "-o", "json")).split("\n").filter(line => line !== "");
      return lines.map(line => JSON.parse(line));
    },
    watchEvents: listener => watchEvents(network, env, listener),
    [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
  };
}

function watchEvents(
  network: LabNetwork,
  env: Record<string, string>,
  listener: (event: LabEvent) => void,
): AsyncDisposable {
  const [command = "", ...args] = [...network.enter, DRP, "events", "watch", "-o", "json"];
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...globalThis.process.env, ...env },
  });
  createInterface({ input: child.stdout }).on("line", line => listener(JSON.parse(line)));
  const ended = new Promise<void>(done => child.on("close", () => done()));
  return {
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}
