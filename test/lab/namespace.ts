/** A network namespace of the lab: a host, or a switch with machines on it. Its links end with it. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type LabProcess, run, startProcess } from "./processes.ts";

export interface Namespace extends AsyncDisposable {
  readonly name: string;
  /** Prefix that runs a command inside. */
  readonly enter: readonly string[];
  /** `ip` inside. */
  ip(...args: string[]): Promise<string>;
  /** Makes a bridge with this address ("10.77.0.1/24"). */
  addBridge(bridge: string, address: string): Promise<void>;
  /** @returns the name of a new tap device on the bridge br0 */
  plugIn(machine: string): Promise<string>;
}

/** @throws Error that says what to do when this user may not make namespaces */
export async function createNamespace(label: string): Promise<Namespace> {
  const name = `drplab${process.pid}${label}`;
  try {
    await run(["ip", "netns", "add", name]);
  } catch (cause) {
    throw new Error(
      "the lab needs network namespaces, and may not make them here; run it as root, in a container with CAP_SYS_ADMIN and CAP_NET_ADMIN",
      { cause },
    );
  }
  const ip = (...args: string[]) => run(["ip", "-n", name, ...args]);
  const namespace: Namespace = {
    name,
    enter: ["ip", "netns", "exec", name],
    ip,
    async addBridge(bridge, address) {
      await ip("link", "add", bridge, "type", "bridge");
      await ip("addr", "add", address, "dev", bridge);
      await ip("link", "set", bridge, "up");
    },
    async plugIn(machine) {
      const tap = `tap-${machine}`;
      await ip("tuntap", "add", "dev", tap, "mode", "tap");
      await ip("link", "set", tap, "master", "br0", "up");
      return tap;
    },
    async [Symbol.asyncDispose]() {
      await run(["ip", "netns", "del", name]);
    },
  };
  await ip("link", "set", "lo", "up");
  return namespace;
}

export interface HostLink extends AsyncDisposable {
  /** Inside the namespace. */
  readonly address: string;
}

/** Leads from this host into the namespace, for a person's browser. */
export async function connectToHost(namespace: Namespace): Promise<HostLink> {
  // Link-local (RFC 3927), one /30 by process id, so that two labs at once do not meet.
  const base = (process.pid % 8192) * 4;
  const address = (last: number) => `169.254.${(base >> 8) + 128}.${(base & 255) + last}`;
  const link = `dl${process.pid}`;
  await run(["ip", "link", "add", link, "type", "veth", "peer", "name", "host", "netns", namespace.name]);
  await run(["ip", "addr", "add", `${address(1)}/30`, "dev", link]);
  await run(["ip", "link", "set", link, "up"]);
  await namespace.ip("addr", "add", `${address(2)}/30`, "dev", "host");
  await namespace.ip("link", "set", "host", "up");
  return {
    address: address(2),
    async [Symbol.asyncDispose]() {
      // By itself it would go when the kernel takes the namespace apart: up to a minute later.
      await run(["ip", "link", "del", link]);
    },
  };
}

/**
 * As a site's router, tells the machines that there is no IPv6 route here (RFC 4861 §6.2.3: lifetime 0). iPXE waits 16 s
 * for such a word at each network boot where nobody gives it.
 */
export async function startRouter(namespace: Namespace, folder: string): Promise<LabProcess> {
  const config = join(folder, `${namespace.name}.radvd.conf`);
  await writeFile(
    config,
    "interface br0 { AdvSendAdvert on; AdvDefaultLifetime 0; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; };\n",
  );
  await run([...namespace.enter, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"]);
  return startProcess(
    [...namespace.enter, "radvd", "-n", "-C", config, "-p", `${config}.pid`, "-m", "stderr"],
    { logFile: `${config}.log` },
  );
}
