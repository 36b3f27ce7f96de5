/**
 * One network namespace with a bridge, as the switch of a small site: the hub has 10.77.0.1, each machine a tap on the
 * bridge. A veth pair leads from this host into it, for a person's browser. Nothing leaves the host.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type LabProcess, run, startProcess } from "./processes.ts";

export const SITE_ADDRESS = "10.77.0.1";
export const SITE_NETWORK = "10.77.0.0/24";

export interface LabNetwork extends AsyncDisposable {
  readonly namespace: string;
  /** Where this host reaches the hub. */
  readonly hostSideAddress: string;
  /** Prefix that runs a command inside the namespace. */
  readonly enter: readonly string[];
  /** @returns the name of a new tap device on the bridge */
  plugIn(machine: string): Promise<string>;
}

/**
 * As the site's router, tells the machines that there is no IPv6 route here (RFC 4861 §6.2.3: lifetime 0). iPXE waits 16 s
 * for such a word at each network boot where nobody gives it.
 */
export async function startRouter(network: LabNetwork, folder: string): Promise<LabProcess> {
  const config = join(folder, "radvd.conf");
  await writeFile(
    config,
    "interface br0 { AdvSendAdvert on; AdvDefaultLifetime 0; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; };\n",
  );
  await run([...network.enter, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"]);
  return startProcess(
    [...network.enter, "radvd", "-n", "-C", config, "-p", join(folder, "radvd.pid"), "-m", "stderr"],
    { logFile: join(folder, "radvd.log") },
  );
}

/** @throws Error that says what to do when this user may not make namespaces */
export async function createLabNetwork(): Promise<LabNetwork> {
  const namespace = `drplab${process.pid}`;
  const link = `dl${process.pid}`;
  // Link-local (RFC 3927), one /30 by process id, so that two labs at once do not meet.
  const base = (process.pid % 8192) * 4;
  const subnet = (last: number) => `169.254.${(base >> 8) + 128}.${(base & 255) + last}`;
  await using made = new AsyncDisposableStack();
  try {
    await run(["ip", "netns", "add", namespace]);
  } catch (cause) {
    throw new Error(
      "the lab needs network namespaces, and may not make them here; run it as root, in a container with CAP_SYS_ADMIN and CAP_NET_ADMIN",
      { cause },
    );
  }
  made.defer(async () => void (await run(["ip", "netns", "del", namespace])));
  const inside = (...args: string[]) => run(["ip", "-n", namespace, ...args]);
  await inside("link", "set", "lo", "up");
  await inside("link", "add", "br0", "type", "bridge");
  await inside("addr", "add", `${SITE_ADDRESS}/24`, "dev", "br0");
  await inside("link", "set", "br0", "up");
  await run(["ip", "link", "add", link, "type", "veth", "peer", "name", "host", "netns", namespace]);
  // By itself it would go when the kernel takes the namespace apart: up to a minute later.
  made.defer(async () => void (await run(["ip", "link", "del", link])));
  await run(["ip", "addr", "add", `${subnet(1)}/30`, "dev", link]);
  await run(["ip", "link", "set", link, "up"]);
  await inside("addr", "add", `${subnet(2)}/30`, "dev", "host");
  await inside("link", "set", "host", "up");

  const kept = made.move();
  return {
    namespace,
    hostSideAddress: subnet(2),
    enter: ["ip", "netns", "exec", namespace],
    async plugIn(machine) {
      const tap = `tap-${machine}`;
      await inside("tuntap", "add", "dev", tap, "mode", "tap");
      await inside("link", "set", tap, "master", "br0", "up");
      return tap;
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}
