/** A second DHCP server on the wire, dnsmasq, is found and named. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ipv4Value, OPTION } from "../../src/dhcp/options.ts";
import { decodePacket, encodePacket, MESSAGE_TYPE } from "../../src/dhcp/packet.ts";
import { openRemoteSocket } from "./clients/helpers/remote-socket.ts";
import { discoverOf, ipv4, observeBootProcess } from "./helpers/boot-process.ts";
import { startDnsmasq } from "./helpers/dnsmasq.ts";
import { makeNetwork, type TestNetwork, whyNoNamespaces, whyNoProgram } from "./helpers/network.ts";

const run = promisify(execFile);
const missing = whyNoNamespaces() ?? whyNoProgram("dnsmasq");
if (missing !== undefined) console.warn(`skipped: a second DHCP server: ${missing}`);

describe.skipIf(missing !== undefined)("a second DHCP server on the wire", () => {
  let network: TestNetwork;
  beforeAll(async () => {
    network = await makeNetwork();
    await run("ip", ["-n", network.clientNamespace, "route", "add", "255.255.255.255", "dev", "lan0"]);
  });
  afterAll(async () => await network[Symbol.asyncDispose]());

  it("is found by the search at the start, and named with what to do", async () => {
    await using _dnsmasq = await startDnsmasq(network.clientNamespace, "lan0", "10.77.200.1,10.77.200.50");
    await using running = await observeBootProcess(network.serverNamespace);
    const event = await running.untilEvent(({ kind }) => kind === "dhcp.other-server");
    expect(event.facts).toMatchObject({ server: "10.77.0.9", interface: "lan0" });
    expect(event.facts.serverMac).toMatch(/^(..:){5}..$/);
    expect(event.facts.how).toMatch(/^it offered us the address 10\.77\.200\./);
    const dhcp = () => running.boot.services.find(({ service }) => service === "dhcp");
    await running.until(() => JSON.stringify(dhcp()).includes("second DHCP server"));
    expect(dhcp()).toMatchObject({
      state: "on",
      detail: expect.stringMatching(
        /^10\.77\.0\.1:67\/udp; second DHCP server 10\.77\.0\.9 \(.*\) on lan0: switch one of the two off/,
      ),
    });
    // Our own search held none of our addresses.
    expect(running.events.filter(({ kind }) => kind === "dhcp.offer")).toEqual([]);
  });

  it("is found by the client that took its offer, once, and the machine's timeline says so too", async () => {
    await using running = await observeBootProcess(network.serverNamespace);
    await using client = await openRemoteSocket(network.clientNamespace, 68);
    const discover = decodePacket(discoverOf(9));
    const request = encodePacket({
      ...discover,
      options: new Map([
        [OPTION.messageType, Uint8Array.of(MESSAGE_TYPE.request)],
        [OPTION.requestedAddress, ipv4Value(ipv4("10.77.200.7"))],
        [OPTION.serverIdentifier, ipv4Value(ipv4("10.77.0.66"))],
      ]),
    });
    client.send(request, "255.255.255.255", 67);
    client.send(request, "255.255.255.255", 67);
    await running.until(() => running.events.filter(({ kind }) => kind === "dhcp.silent").length === 2);
    await running.untilEvent(({ kind }) => kind === "dhcp.other-server");
    const others = running.events.filter(({ kind }) => kind === "dhcp.other-server");
    expect(others).toMatchObject([
      {
        mac: null,
        summary: "second DHCP server 10.77.0.66 on lan0: the client 02:00:00:00:77:09 took its offer",
      },
    ]);
  });
});
