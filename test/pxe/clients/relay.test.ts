/**
 * ISC's dhcrelay between a client and our server: the relay's own network behind it, 10.99.0.0/16, is a subnet of ours. Its
 * package would start a daemon, so it is unpacked and never installed.
 */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fetchDebianPackages } from "../../../boot/debian-packages.ts";
import { formatIpv4 } from "../../../src/core/ipv4.ts";
import { captureIn } from "../../helpers/pcap/capture-in.ts";
import { makeNetwork, runIn, type TestNetwork, whyNoProgram } from "../helpers/network.ts";
import { startBootServer } from "./helpers/boot-server.ts";
import { expectExchange } from "./helpers/golden.ts";
import { whyNoCaptures } from "./helpers/programs.ts";
import { type RunningProgram, runUntilTestEnds } from "./helpers/running-program.ts";

const CACHE = new URL("../../../.cache/debian", import.meta.url).pathname;
const noClient = whyNoCaptures() ?? whyNoProgram("busybox");
const dhcrelay = noClient === undefined ? await findDhcrelay() : { missing: noClient };
const missing = typeof dhcrelay === "string" ? undefined : dhcrelay.missing;
if (missing !== undefined) console.warn(`skipped: DHCP through ISC's relay: ${missing}`);

describe.skipIf(missing !== undefined)("DHCP through ISC's dhcrelay", () => {
  let network: TestNetwork;

  beforeAll(async () => {
    network = await makeNetwork();
    await plugInFarNetwork(network);
  });
  afterAll(async () => await network[Symbol.asyncDispose]());

  it("leases an address of the relay's network, and repeats the circuit that the relay names", async () => {
    await using server = await startBootServer(network);
    await using _relay = await startRelay(network, String(dhcrelay));
    await using capture = await captureIn(network.serverNamespace, "lan0");
    await using near = await captureIn(network.clientNamespace, "far0");
    const script = join(server.folder, "client.sh");
    await runIn(
      network.clientNamespace,
      "sh",
      "-c",
      `printf '#!/bin/sh\\necho "$1 $ip"\\n' > ${script}; chmod +x ${script}`,
    );
    const always = ["-f", "-n", "-q", "-t", "2", "-T", "5", "-i", "lan0", "-s", script];
    const printed = await runIn(network.otherNamespace, "busybox", "udhcpc", ...always);
    expect(printed).toContain("bound 10.99.1.0");
    const [lease] = await server.boot.ask("list-leases", null);
    expect(lease && formatIpv4(lease.address)).toBe("10.99.1.0");
    await expectExchange(capture, "dhcrelay");
    await expectExchange(near, "dhcrelay-client-side");
  });
});

/** The client's namespace becomes the relay's; the other one is moved behind it: other lan0 ─ far0 relay lan0 ─ lan0 server. */
async function plugInFarNetwork({
  serverNamespace,
  clientNamespace,
  otherNamespace,
}: TestNetwork): Promise<void> {
  const ip = async (namespace: string, command: string) =>
    await runIn(namespace, "ip", ...command.split(" "));
  await ip(serverNamespace, "link del up0");
  await ip(clientNamespace, `link add far0 type veth peer name lan0 netns ${otherNamespace}`);
  await ip(clientNamespace, "addr add 10.99.0.1/16 dev far0");
  await ip(clientNamespace, "link set far0 up");
  await ip(otherNamespace, "link set lan0 up");
  await ip(serverNamespace, "route add 10.99.0.0/16 via 10.77.0.9");
}

/** -a: appends option 82 with the interface's name as the circuit. */
async function startRelay(network: TestNetwork, program: string): Promise<RunningProgram> {
  const args = ["-4", "-d", "--no-pid", "-a", "-id", "far0", "-iu", "lan0", "10.77.0.1"];
  const relay = runUntilTestEnds(network.clientNamespace, [program, ...args]);
  await relay.untilPrinted("Sending on   Socket/fallback");
  return relay;
}

async function findDhcrelay(): Promise<string | { missing: string }> {
  try {
    const lost = "DHCP is not tested through a relay that others wrote";
    const [unpacked] = await fetchDebianPackages(["isc-dhcp-relay"], CACHE, lost);
    return join(unpacked?.root ?? "", "usr/sbin/dhcrelay");
  } catch (error) {
    return { missing: error instanceof Error ? error.message : String(error) };
  }
}
