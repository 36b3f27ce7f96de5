/** DHCP and TFTP on several interfaces that come and go, on real sockets. */
import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { formatIpv4, UNSPECIFIED } from "../../src/core/ipv4.ts";
import { ipv4, type ObservedBootProcess, observeBootProcess } from "./helpers/boot-process.ts";
import { makeNetwork, runIn, type TestNetwork, whyNoNamespaces, whyNoProgram } from "./helpers/network.ts";

const run = promisify(execFile);
const missing = whyNoNamespaces() ?? whyNoProgram("busybox");
if (missing !== undefined) console.warn(`skipped: DHCP on several interfaces: ${missing}`);

const BOTH = [
  { name: "lan0", address: ipv4("10.77.0.1") },
  { name: "up0", address: ipv4("10.78.0.1") },
];

describe.skipIf(missing !== undefined)("a boot process that serves two interfaces", () => {
  let network: TestNetwork;
  let folder = "";
  let script = "";
  let running: ObservedBootProcess | undefined;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "drp-interfaces-"));
    script = join(folder, "udhcpc.sh");
    await writeFile(script, '#!/bin/sh\n[ "$1" = bound ] && echo "bound $ip $serverid"\nexit 0\n');
    await chmod(script, 0o755);
  });
  afterAll(async () => await rm(folder, { recursive: true }));
  beforeEach(async () => {
    network = await makeNetwork();
  });
  afterEach(async () => {
    await running?.[Symbol.asyncDispose]();
    running = undefined;
    await network[Symbol.asyncDispose]();
  });

  const ip = async (...args: string[]) => await run("ip", ["-n", network.serverNamespace, ...args]);
  const ask = async (namespace: string) => {
    const printed = await runIn(
      namespace,
      "busybox",
      ..."udhcpc -f -n -q -t 3 -T 1 -i lan0 -s".split(" "),
      script,
    );
    return printed.match(/bound .*/)?.[0];
  };
  const detail = (service: string) => {
    const state = running?.boot.services.find(entry => entry.service === service);
    return state?.state === "on" ? state.detail : `off: ${state?.error.message}`;
  };
  const start = async (interfaces = BOTH) => {
    running = await observeBootProcess(network.serverNamespace, { interfaces });
    return running;
  };

  it("answers on each from the right address, and hears no broadcast of one as the other's", async () => {
    const { boot, events } = await start();
    expect(detail("dhcp")).toBe("10.77.0.1:67/udp, 10.78.0.1:67/udp");
    expect(await ask(network.clientNamespace)).toBe("bound 10.77.1.0 10.77.0.1");
    expect(await ask(network.otherNamespace)).toBe("bound 10.78.1.0 10.78.0.1");
    const heard = events
      .filter(event => event.kind.startsWith("dhcp."))
      .map(({ kind, facts }) => `${kind} ${facts.interface}`);
    expect(heard).toEqual(["dhcp.offer lan0", "dhcp.ack lan0", "dhcp.offer up0", "dhcp.ack up0"]);
    const leases = await boot.ask("list-leases", null);
    expect(leases.map(({ address }) => formatIpv4(address)).sort()).toEqual(["10.77.1.0", "10.78.1.0"]);
  });

  it("goes on when one goes away, says so, and serves it again once another has its name and address", async () => {
    const { until, untilEvent } = await start();
    await ip("link", "del", "up0");
    const lost = await untilEvent(({ kind }) => kind === "dhcp.interface-lost");
    expect(lost.summary).toContain("up0 is not served: there is no interface up0");
    await until(() => detail("dhcp").includes("waits for up0"));
    expect(detail("dhcp")).toBe("10.77.0.1:67/udp; waits for up0: there is no interface up0");
    expect(detail("tftp")).toBe("10.77.0.1:69/udp; waits for up0: there is no interface up0");
    expect(await ask(network.clientNamespace)).toBe("bound 10.77.1.0 10.77.0.1");

    await ip("link", "add", "up0", "type", "veth", "peer", "name", "lan0", "netns", network.otherNamespace);
    await ip("addr", "add", "10.78.0.1/16", "dev", "up0");
    await ip("link", "set", "up0", "up");
    await run("ip", ["-n", network.otherNamespace, "link", "set", "lan0", "up"]);
    await untilEvent(({ kind }) => kind === "dhcp.interface-back");
    await until(() => detail("tftp") === "10.77.0.1:69/udp, 10.78.0.1:69/udp");
    expect(await ask(network.otherNamespace)).toBe("bound 10.78.1.0 10.78.0.1");
  });

  it("hears nothing for ever by sockets of an interface that was replaced while nobody looked", async () => {
    const { untilEvent } = await start();
    // Between two looks: the name is there each time, and the number is another.
    await run("ip", [
      ...["netns", "exec", network.serverNamespace, "sh", "-c"],
      `ip link del up0 && ip link add up0 type veth peer name lan0 netns ${network.otherNamespace} &&
       ip addr add 10.78.0.1/16 dev up0 && ip link set up0 up && ip -n ${network.otherNamespace} link set lan0 up`,
    ]);
    await untilEvent(({ kind }) => kind === "dhcp.interface-back");
    expect(await ask(network.otherNamespace)).toBe("bound 10.78.1.0 10.78.0.1");
  });

  it("starts without one that is missing, names it and what to do, and takes it when it comes with any address", async () => {
    await ip("addr", "del", "10.78.0.1/16", "dev", "up0");
    const { until } = await start([BOTH[0], { name: "up0", address: UNSPECIFIED }] as typeof BOTH);
    expect(detail("dhcp")).toBe("10.77.0.1:67/udp; waits for up0: up0 has no IPv4 address");
    await ip("addr", "add", "10.78.0.7/16", "dev", "up0");
    await until(() => detail("dhcp") === "10.77.0.1:67/udp, 10.78.0.7:67/udp");
    expect(await ask(network.otherNamespace)).toBe("bound 10.78.1.0 10.78.0.7");
  });

  it("is off with the reason while no interface is there, and on once there is one", async () => {
    await ip("link", "set", "lan0", "name", "lan9");
    const { until } = await start([{ name: "lan0", address: ipv4("10.77.0.1") }]);
    expect(detail("dhcp")).toContain(
      "off: dhcp has no interface to serve: waits for lan0: there is no interface lan0",
    );
    await ip("link", "set", "lan9", "down");
    await ip("link", "set", "lan9", "name", "lan0");
    await ip("link", "set", "lan0", "up");
    await until(() => detail("dhcp") === "10.77.0.1:67/udp");
    expect(await ask(network.clientNamespace)).toBe("bound 10.77.1.0 10.77.0.1");
  });
});
