/** What an operator may ask of the leases, and a pool that runs dry, on real sockets. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { formatIpv4, UNSPECIFIED } from "../../src/core/ipv4.ts";
import { ipv4Value, OPTION, readIpv4 } from "../../src/dhcp/options.ts";
import { type DhcpMessage, decodePacket, encodePacket, MESSAGE_TYPE } from "../../src/dhcp/packet.ts";
import { openRemoteSocket, type RemoteSocket } from "./clients/helpers/remote-socket.ts";
import {
  bootSettings,
  discoverOf,
  ipv4,
  type ObservedBootProcess,
  observeBootProcess,
  subnet,
} from "./helpers/boot-process.ts";
import { makeNetwork, type TestNetwork, whyNoNamespaces } from "./helpers/network.ts";

const run = promisify(execFile);
const missing = whyNoNamespaces();
if (missing !== undefined) console.warn(`skipped: questions about leases: ${missing}`);
const TWO_ADDRESSES = { first: ipv4("10.77.1.0"), last: ipv4("10.77.1.1") };

describe.skipIf(missing !== undefined)("a boot process that is asked about its leases", () => {
  let network: TestNetwork;
  let running: ObservedBootProcess;
  let client: RemoteSocket;

  beforeAll(async () => {
    network = await makeNetwork();
    await run("ip", ["-n", network.clientNamespace, "route", "add", "255.255.255.255", "dev", "lan0"]);
  });
  afterAll(async () => await network[Symbol.asyncDispose]());
  beforeEach(async () => {
    const settings = bootSettings({ subnets: [{ ...subnet("10.77"), pools: [TWO_ADDRESSES] }] });
    running = await observeBootProcess(network.serverNamespace, { settings });
    client = await openRemoteSocket(network.clientNamespace, 68);
  });
  afterEach(async () => {
    await client[Symbol.asyncDispose]();
    await running[Symbol.asyncDispose]();
  });

  const answer = async (number: number): Promise<DhcpMessage> => {
    for (;;) {
      const message = decodePacket(await client.next());
      if (message.op === 2 && message.chaddr[5] === number) return message;
    }
  };
  const lease = async (number: number): Promise<string> => {
    client.send(discoverOf(number), "255.255.255.255", 67);
    const { yiaddr, options } = await answer(number);
    const server = readIpv4(options, OPTION.serverIdentifier) ?? UNSPECIFIED;
    client.send(
      requestOf(number, [
        [OPTION.requestedAddress, ipv4Value(yiaddr)],
        [OPTION.serverIdentifier, ipv4Value(server)],
      ]),
      "255.255.255.255",
      67,
    );
    return formatIpv4((await answer(number)).yiaddr);
  };

  it("takes a lease back for good: told once it is on disk, refused at the next renewal, free for another", async () => {
    expect(await lease(1)).toBe("10.77.1.0");
    const released = await running.boot.ask("release-lease", { address: ipv4("10.77.1.0") });
    expect(released).toMatchObject({ client: "02:00:00:00:77:01" });
    expect(await running.boot.ask("list-leases", null)).toEqual([]);
    expect(await running.boot.ask("release-lease", { address: ipv4("10.77.1.0") })).toBeNull();
    client.send(
      requestOf(1, [[OPTION.requestedAddress, ipv4Value(ipv4("10.77.1.0"))]]),
      "255.255.255.255",
      67,
    );
    const refused = await answer(1);
    expect(refused.options.get(OPTION.messageType)?.[0]).toBe(MESSAGE_TYPE.nak);

    const history = await running.boot.ask("lease-history", { address: null, client: null, limit: 10 });
    expect(history.map(({ what, address }) => `${what} ${formatIpv4(address)}`)).toEqual([
      "revoked 10.77.1.0",
      "leased 10.77.1.0",
    ]);
    expect(
      await running.boot.ask("lease-history", { address: ipv4("10.77.1.1"), client: null, limit: 1 }),
    ).toEqual([]);
  });

  it("says once that a pool is dry, and stays silent with the reason", async () => {
    expect(await lease(1)).toBe("10.77.1.0");
    expect(await lease(2)).toBe("10.77.1.1");
    for (const number of [3, 4]) client.send(discoverOf(number), "255.255.255.255", 67);
    await running.until(() => running.events.filter(({ kind }) => kind === "dhcp.silent").length === 2);
    expect(running.events.filter(({ kind }) => kind === "dhcp.pool-empty")).toMatchObject([
      { mac: null, facts: { network: "10.77.0.0/16", size: 2, leased: 2 } },
    ]);
    expect(running.events.findLast(({ kind }) => kind === "dhcp.silent")?.summary).toContain(
      "no address to offer",
    );
  });
});

function requestOf(number: number, options: [number, Uint8Array][]): Uint8Array {
  const discover = decodePacket(discoverOf(number));
  const all = new Map([...discover.options, ...options]).set(
    OPTION.messageType,
    Uint8Array.of(MESSAGE_TYPE.request),
  );
  return encodePacket({ ...discover, options: all });
}
