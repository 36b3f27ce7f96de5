/** The wire of a benchmark: a server and its clients, each in a network namespace, and a cable between them. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A /8: every client of every run gets an address of its own. */
export const SERVER_ADDRESS = "10.0.0.1";
export const CLIENT_ADDRESS = "10.0.0.9";
/** The name of the interface at both ends. */
export const INTERFACE = "lan0";

const POLL_MS = 20;
/** Kea reads its configuration in 0.3 s on an idle machine. */
const START_WITHIN_MS = 15_000;
const STOP_WITHIN_MS = 5000;

export interface Wire extends AsyncDisposable {
  readonly server: string;
  readonly client: string;
}

/** @throws {Error} where namespaces cannot be made: that needs root */
export async function makeWire(): Promise<Wire> {
  if (process.getuid?.() !== 0) throw new Error("network namespaces need root: run it as root");
  const [server, client] = [`drp-bench-${process.pid}-s`, `drp-bench-${process.pid}-c`];
  const wire = {
    server,
    client,
    [Symbol.asyncDispose]: async () => {
      for (const name of [server, client]) await run("ip", ["netns", "del", name]).catch(() => {});
    },
  };
  const ip = async (command: string) => await run("ip", command.split(" "));
  try {
    for (const name of [server, client]) {
      await ip(`netns add ${name}`);
      await ip(`-n ${name} link set lo up`);
    }
    await ip(`-n ${server} link add ${INTERFACE} type veth peer name ${INTERFACE} netns ${client}`);
    await ip(`-n ${server} addr add ${SERVER_ADDRESS}/8 dev ${INTERFACE}`);
    await ip(`-n ${client} addr add ${CLIENT_ADDRESS}/8 dev ${INTERFACE}`);
    for (const name of [server, client]) await ip(`-n ${name} link set ${INTERFACE} up`);
    return wire;
  } catch (error) {
    await wire[Symbol.asyncDispose]();
    throw error;
  }
}

export interface Command {
  /** Null: the host's own, for what stays on loopback. */
  readonly namespace: string | null;
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** A server that runs until it is disposed of. */
export interface RunningServer extends AsyncDisposable {
  readonly pid: number;
}

/**
 * Starts a server in its namespace and waits until its UDP or TCP port is open there.
 *
 * @throws {Error} with what it printed, when it ends or does not open the port in 15 s
 */
export async function startServer(
  command: Command,
  protocol: "udp" | "tcp",
  port: number,
): Promise<RunningServer> {
  const child = spawnIn(command);
  let printed = "";
  let ended = false;
  for (const stream of [child.stdout, child.stderr]) {
    // The end of it is what tells why.
    stream?.on("data", (text: Buffer) => {
      printed = (printed + text.toString()).slice(-4000);
    });
  }
  const exited = once(child, "exit").finally(() => {
    ended = true;
  });
  const server = {
    pid: child.pid ?? 0,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      const kill = setTimeout(() => child.kill("SIGKILL"), STOP_WITHIN_MS);
      await exited.catch(() => {});
      clearTimeout(kill);
    },
  };
  const deadline = Date.now() + START_WITHIN_MS;
  while (!(await isOpen(server.pid, protocol, port))) {
    if (!ended && !command.signal.aborted && Date.now() < deadline) {
      await new Promise(resolve => setTimeout(resolve, POLL_MS));
      continue;
    }
    await server[Symbol.asyncDispose]();
    throw new Error(`${command.program} did not open port ${port}/${protocol}; it said: ${printed}`);
  }
  return server;
}

/**
 * Runs a client to its end.
 *
 * @param okCodes exit codes that are none of a failure; perfdhcp says 3 for "some were dropped"
 * @returns what it printed on both outputs
 * @throws {Error} with what it printed, for any other exit
 */
export async function runClient(command: Command, okCodes: readonly number[] = [0]): Promise<string> {
  const child = spawnIn(command);
  const printed: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", bytes => printed.push(bytes));
  const [code, signal] = await once(child, "close");
  const text = Buffer.concat(printed).toString();
  if (okCodes.includes(code)) return text;
  throw new Error(
    `${command.program} ended with ${signal ?? `exit code ${code}`}; it said: ${text.slice(-4000)}`,
  );
}

/** Megabytes (10^6) of memory that a process holds. */
export async function residentMegabytes(pid: number): Promise<number> {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, "utf8")) ?? [];
  if (kilobytes === undefined) throw new Error(`process ${pid} tells no VmRSS`);
  return (Number(kilobytes) * 1024) / 1e6;
}

function spawnIn({ namespace, program, args, env, signal }: Command) {
  const inNamespace = namespace === null ? [] : ["ip", "netns", "exec", namespace];
  const [first = program, ...others] = [...inNamespace, program, ...args];
  const child = spawn(first, others, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    signal,
  });
  // The exit tells; without a listener a failure to start would end the whole run.
  child.on("error", () => {});
  return child;
}

/** Whether the namespace in which a process lives has the port open. */
async function isOpen(pid: number, protocol: "udp" | "tcp", port: number): Promise<boolean> {
  const table = await readFile(`/proc/${pid}/net/${protocol}`, "utf8").catch(() => "");
  const local = port.toString(16).toUpperCase().padStart(4, "0");
  // "  12: 0100000A:0043 00000000:0000 07 …"; 07 is an open UDP socket, 0A a listening TCP one.
  return new RegExp(`^ *\\d+: [0-9A-F]{8}:${local} \\S+ ${protocol === "udp" ? "07" : "0A"} `, "m").test(
    table,
  );
}
