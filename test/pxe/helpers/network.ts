/** Two networks made of namespaces: a server with an interface in each, and a client on each. */
import { execFile, execFileSync } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);
/** A client that is never answered is ended. */
const CLIENT_TIMEOUT_MS = 15_000;

export interface TestNetwork extends AsyncDisposable {
  readonly serverNamespace: string;
  /** On the network that the server serves, 10.77.0.0/16; the interface is "lan0". */
  readonly clientNamespace: string;
  /** On the server's other network, 10.78.0.0/16; the interface is "lan0" too. */
  readonly otherNamespace: string;
}

/** Why no namespaces can be made here, or undefined. */
export function whyNoNamespaces(): string | undefined {
  if (process.getuid?.() !== 0) return "making network namespaces needs root";
  try {
    execFileSync("ip", ["netns", "list"], { stdio: "pipe" });
    return undefined;
  } catch {
    return '"ip netns" (package iproute2) does not work here';
  }
}

/** Why a client program cannot be used, or undefined. */
export function whyNoProgram(name: string): string | undefined {
  try {
    execFileSync("sh", ["-c", `PATH=$PATH:/usr/sbin command -v ${name}`], { stdio: "pipe" });
    return undefined;
  } catch {
    return `${name} is not installed`;
  }
}

export async function makeNetwork(): Promise<TestNetwork> {
  const [serverNamespace, clientNamespace, otherNamespace] = ["s", "c", "o"].map(
    role => `drp-boot-${process.pid}-${role}`,
  ) as [string, string, string];
  const ip = async (command: string) => await run("ip", command.split(" "));
  for (const name of [serverNamespace, clientNamespace, otherNamespace]) {
    await ip(`netns add ${name}`);
    await ip(`-n ${name} link set lo up`);
  }
  await ip(`-n ${serverNamespace} link add lan0 type veth peer name lan0 netns ${clientNamespace}`);
  await ip(`-n ${serverNamespace} link add up0 type veth peer name lan0 netns ${otherNamespace}`);
  await ip(`-n ${serverNamespace} addr add 10.77.0.1/16 dev lan0`);
  await ip(`-n ${serverNamespace} addr add 10.78.0.1/16 dev up0`);
  await ip(`-n ${clientNamespace} addr add 10.77.0.9/16 dev lan0`);
  for (const name of ["lan0", "up0"]) await ip(`-n ${serverNamespace} link set ${name} up`);
  for (const namespace of [clientNamespace, otherNamespace]) await ip(`-n ${namespace} link set lan0 up`);
  return {
    serverNamespace,
    clientNamespace,
    otherNamespace,
    [Symbol.asyncDispose]: async () => {
      for (const name of [serverNamespace, clientNamespace, otherNamespace]) await ip(`netns del ${name}`);
    },
  };
}

/** Runs a client; rejects when it ends with another exit code than 0. @returns what it printed */
export async function runIn(namespace: string, program: string, ...args: string[]): Promise<string> {
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };
  const { stdout, stderr } = await run("ip", ["netns", "exec", namespace, program, ...args], {
    env,
    timeout: CLIENT_TIMEOUT_MS,
  });
  return stdout + stderr;
}
