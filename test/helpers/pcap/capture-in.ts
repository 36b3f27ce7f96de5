/** Listens to an interface of a network namespace with tcpdump, for as long as a test needs it; writes no file. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { type CapturedFrame, readCapture } from "./read-capture.ts";

const run = promisify(execFile);

export interface Capture extends AsyncDisposable {
  /**
   * Ends it. @returns every frame that crossed the interface before this call
   *
   * @throws AbortError where the interface carries nothing any more: stop before the last machine on it is switched off
   */
  stop(): Promise<CapturedFrame[]>;
}

/** Every UDP port (TFTP's change), and TCP on the port of boot HTTP. */
const FILTER = "udp or (tcp port 8091) or (ip[6:2] & 0x3fff != 0)";
/** The discard service (RFC 863): nobody here answers or listens. */
const MARK_PORT = 9;
/** Enough for a burst of DHCP or TFTP while tcpdump waits for a core. */
const BUFFER_KIB = 16_384;

/**
 * @param interfaceName inside the namespace; it needs an IPv4 address of its own, from which the end is marked
 * @throws Error with what tcpdump said, where it cannot listen
 */
export async function captureIn(
  namespace: string,
  interfaceName: string,
  filter: string = FILTER,
): Promise<Capture> {
  const address = await addressOf(namespace, interfaceName);
  const child = spawn(
    "ip",
    [
      ...["netns", "exec", namespace, "tcpdump", "-i", interfaceName, "-n", "-p"],
      ...["-B", String(BUFFER_KIB), "--immediate-mode", "-U", "-Z", "root", "-w", "-", filter],
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  await readiness(child);
  let ended: Promise<CapturedFrame[]> | undefined;
  const stop = async () => {
    try {
      await mark(namespace, address, () => Buffer.concat(chunks).includes(MARK), child);
    } finally {
      await end(child);
    }
    const frames = readCapture(Buffer.concat(chunks));
    return frames.filter(frame => !Buffer.from(frame.bytes).includes(MARK));
  };
  return {
    stop: () => (ended ??= stop()),
    [Symbol.asyncDispose]: async () => await end(child),
  };
}

async function addressOf(namespace: string, interfaceName: string): Promise<string> {
  const { stdout } = await run("ip", ["-n", namespace, "-4", "-o", "addr", "show", "dev", interfaceName]);
  const address = /inet ([\d.]+)/.exec(stdout)?.[1];
  if (address === undefined) throw new Error(`${interfaceName} in ${namespace} has no IPv4 address`);
  return address;
}

/** tcpdump says "listening on lan0" once its socket is open. */
async function readiness(child: ChildProcess): Promise<void> {
  let said = "";
  await new Promise<void>((resolve, reject) => {
    child.stderr?.on("data", (chunk: Buffer) => {
      said += chunk;
      if (said.includes("listening on")) resolve();
    });
    child.once("error", reject);
    child.once("exit", code => reject(new Error(`tcpdump ended with ${code}: ${said.trim()}`)));
  });
}

/** It has taken 2 ms. An interface that lost its carrier (a bridge whose last machine was switched off) never sees it. */
const MARK_WITHIN_MS = 10_000;
const MARK = Buffer.from("drp: the capture ends here");

/** tcpdump may lag behind: what it has written is whole once a datagram sent now is in it. */
async function mark(
  namespace: string,
  address: string,
  isSeen: () => boolean,
  child: ChildProcess,
): Promise<void> {
  const script = `
    const socket = require("node:dgram").createSocket("udp4");
    socket.bind(0, ${JSON.stringify(address)}, () => {
      socket.setBroadcast(true);
      socket.send(${JSON.stringify(MARK.toString())}, ${MARK_PORT}, "255.255.255.255", error => {
        if (error) throw error;
        socket.close();
      });
    });`;
  await run("ip", ["netns", "exec", namespace, process.execPath, "-e", script]);
  const { stdout } = child;
  const givenUp = AbortSignal.timeout(MARK_WITHIN_MS);
  while (!isSeen() && child.exitCode === null && stdout !== null) {
    await once(stdout, "data", { signal: givenUp });
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, "close");
  child.kill("SIGINT");
  await closed;
}
