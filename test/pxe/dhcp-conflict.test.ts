/** Addresses that somebody sits on are found before they are offered, on real sockets. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { formatIpv4, type Ipv4 } from "../../src/core/ipv4.ts";
import { decodeJournal } from "../../src/dhcp/lease-journal.ts";
import { OPTION } from "../../src/dhcp/options.ts";
import { decodePacket, MESSAGE_TYPE } from "../../src/dhcp/packet.ts";
import { openRemoteSocket, type RemoteSocket } from "./clients/helpers/remote-socket.ts";
import { discoverOf, type ObservedBootProcess, observeBootProcess } from "./helpers/boot-process.ts";
import { makeNetwork, type TestNetwork, whyNoNamespaces } from "./helpers/network.ts";

const run = promisify(execFile);
const missing = whyNoNamespaces();
if (missing !== undefined) console.warn(`skipped: address conflicts on real sockets: ${missing}`);

describe.skipIf(missing !== undefined)("an address that somebody sits on", () => {
  let network: TestNetwork;
  let running: ObservedBootProcess;
  let client: RemoteSocket;

  beforeAll(async () => {
    network = await makeNetwork();
    await run("ip", ["-n", network.clientNamespace, "route", "add", "255.255.255.255", "dev", "lan0"]);
  });
  afterAll(async () => await network[Symbol.asyncDispose]());
  beforeEach(async () => {
    running = await observeBootProcess(network.serverNamespace);
    client = await openRemoteSocket(network.clientNamespace, 68);
  });
  afterEach(async () => {
    await client[Symbol.asyncDispose]();
    await running[Symbol.asyncDispose]();
    for (const address of ["10.77.1.0/16", "10.77.1.0/32"])
      await inClient("addr", "del", address, "dev", "lan0").catch(() => {});
    await inClient("route", "replace", "255.255.255.255", "dev", "lan0");
  });

  const inClient = async (...args: string[]) => await run("ip", ["-n", network.clientNamespace, ...args]);
  const ask = (number: number) => client.send(discoverOf(number), "255.255.255.255", 67);
  /** The next OFFER: to whom and what. Our own search for other servers is broadcast too, and is none. */
  const offer = async (): Promise<string> => {
    for (;;) {
      const message = decodePacket(await client.next());
      if (message.options.get(OPTION.messageType)?.[0] !== MESSAGE_TYPE.offer) continue;
      return `${message.chaddr[5]}: ${formatIpv4(message.yiaddr)}`;
    }
  };
  const addresses = (changes: ReturnType<typeof decodeJournal>) =>
    changes.map(change => `${change.kind} ${formatIpv4((change as { address: Ipv4 }).address)}`);

  it("is not offered: the client gets another, the conflict is told and is on disk", async () => {
    await inClient("addr", "add", "10.77.1.0/16", "dev", "lan0");
    ask(1);
    expect(await offer()).toBe("1: 10.77.1.1");
    const conflict = await running.untilEvent(({ kind }) => kind === "dhcp.conflict");
    expect(conflict.facts.address).toBe("10.77.1.0");
    const kept = decodeJournal(await readFile(running.journal), running.journal);
    expect(addresses(kept)).toEqual(["conflict 10.77.1.0"]);
  });

  it("is found by its ARP answer alone where it answers nothing else, also when the kernel knows it of old", async () => {
    // The peer resolves the address, and has no way back for what it would answer.
    await inClient("addr", "add", "10.77.1.0/32", "dev", "lan0");
    await inClient("route", "add", "unreachable", "10.77.0.1");
    const stale = "neigh replace 10.77.1.0 lladdr 02:00:00:00:00:99 nud stale dev lan0";
    await run("ip", ["-n", network.serverNamespace, ...stale.split(" ")]);
    try {
      ask(2);
      // The client is on the same host, so the offer still comes: it is a broadcast.
      expect(await offer()).toBe("2: 10.77.1.1");
    } finally {
      await inClient("route", "del", "unreachable", "10.77.0.1");
    }
    const conflict = await running.untilEvent(({ kind }) => kind === "dhcp.conflict");
    expect(conflict.summary).toMatch(/probe: ..:..:..:..:..:.. has it/);
  });

  it("holds nobody else up: who is known is answered before the probe of another ends", async () => {
    ask(3);
    expect(await offer()).toBe("3: 10.77.1.0");
    ask(4);
    ask(3);
    expect(await offer()).toBe("3: 10.77.1.0");
    expect(await offer()).toBe("4: 10.77.1.1");
    await running.until(() => running.events.filter(({ kind }) => kind === "dhcp.offer").length === 3);
    expect(
      running.events.filter(({ kind }) => kind === "dhcp.offer").map(({ facts }) => facts.probed),
    ).toEqual(["nobody is there", undefined, "nobody is there"]);
  });

  it("is looked for on behalf of many at once: each of 60 clients gets an address of its own", async () => {
    const asked = Array.from({ length: 60 }, (_, index) => index);
    for (const number of asked) ask(number);
    const offers = new Map<string, string>();
    while (offers.size < asked.length) {
      const [client = "", address = ""] = (await offer()).split(": ");
      offers.set(client, address);
    }
    expect(new Set(offers.values()).size).toBe(asked.length);
  });
});
