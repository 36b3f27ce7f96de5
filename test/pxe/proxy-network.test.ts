/** ProxyDHCP beside dnsmasq, which gives the addresses: raw clients, and a real one. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { formatIpv4, UNSPECIFIED } from "../../src/core/ipv4.ts";
import { OPTION, type OptionEntry, readIpv4, textValue } from "../../src/dhcp/options.ts";
import { type DhcpMessage, decodePacket, encodePacket, MESSAGE_TYPE } from "../../src/dhcp/packet.ts";
import { openRemoteSocket, type RemoteSocket } from "./clients/helpers/remote-socket.ts";
import { discoverOf, ipv4, type ObservedBootProcess, observeBootProcess } from "./helpers/boot-process.ts";
import { startDnsmasq } from "./helpers/dnsmasq.ts";
import { makeNetwork, type TestNetwork, whyNoNamespaces, whyNoProgram } from "./helpers/network.ts";

const run = promisify(execFile);
const missing = whyNoNamespaces() ?? whyNoProgram("dnsmasq");
if (missing !== undefined) console.warn(`skipped: ProxyDHCP beside another server: ${missing}`);

const pxe = (architecture: number): OptionEntry[] => [
  [OPTION.vendorClass, textValue(`PXEClient:Arch:0000${architecture}:UNDI:003016`)],
  [OPTION.clientArchitecture, Uint8Array.of(0, architecture)],
];

describe.skipIf(missing !== undefined)("ProxyDHCP beside a server that gives the addresses", () => {
  let network: TestNetwork;
  let dnsmasq: AsyncDisposable;
  let running: ObservedBootProcess;
  let client: RemoteSocket;

  beforeAll(async () => {
    network = await makeNetwork();
    await run("ip", ["-n", network.clientNamespace, "route", "add", "255.255.255.255", "dev", "lan0"]);
    dnsmasq = await startDnsmasq(network.clientNamespace, "lan0", "10.77.200.1,10.77.200.50");
    running = await observeBootProcess(network.serverNamespace, { mode: "proxy" });
    client = await openRemoteSocket(network.clientNamespace, 68);
  });
  afterAll(async () => {
    await client[Symbol.asyncDispose]();
    await running[Symbol.asyncDispose]();
    await dnsmasq[Symbol.asyncDispose]();
    await network[Symbol.asyncDispose]();
  });

  /** What the servers answer to this client, by server; waits for as many as are named. */
  const answersTo = async (number: number, servers: readonly string[]): Promise<Map<string, DhcpMessage>> => {
    const answers = new Map<string, DhcpMessage>();
    while (servers.some(server => !answers.has(server))) {
      const message = decodePacket(await client.next());
      if (message.chaddr[5] !== number) continue;
      answers.set(formatIpv4(readIpv4(message.options, OPTION.serverIdentifier) ?? UNSPECIFIED), message);
    }
    return answers;
  };

  it("is on, on DHCP's port and on 4011, and DHCP is not", () => {
    expect(running.boot.services).toMatchObject([
      { service: "proxy-dhcp", state: "on", detail: "10.77.0.1:67/udp" },
      { service: "tftp", state: "on" },
    ]);
  });

  it("adds the boot file to the other server's address", async () => {
    client.send(discoverOf(1, pxe(0)), "255.255.255.255", 67);
    const answers = await answersTo(1, ["10.77.0.1", "10.77.0.9"]);
    const ours = answers.get("10.77.0.1");
    expect(ours).toMatchObject({ yiaddr: 0, file: "undionly.kpxe", siaddr: ipv4("10.77.0.1") });
    expect(Buffer.from(ours?.options.get(43) ?? []).toString("hex")).toBe("060108ff");
    expect(formatIpv4(answers.get("10.77.0.9")?.yiaddr ?? UNSPECIFIED)).toMatch(/^10\.77\.200\./);
    const event = await running.untilEvent(({ kind }) => kind === "proxy.offer");
    expect(event.facts).toMatchObject({
      asked: "discover",
      interface: "lan0",
      file: "undionly.kpxe",
      architecture: 0,
    });
  });

  it("answers on port 4011 to the port that was asked from", async () => {
    await using onBootServerPort = await openRemoteSocket(network.clientNamespace, 4011);
    const request = decodePacket(discoverOf(2, pxe(7)));
    const options = new Map(request.options).set(OPTION.messageType, Uint8Array.of(MESSAGE_TYPE.request));
    onBootServerPort.send(
      encodePacket({ ...request, ciaddr: ipv4("10.77.0.9"), options }),
      "10.77.0.1",
      4011,
    );
    const ack = decodePacket(await onBootServerPort.next());
    expect(ack).toMatchObject({ file: "ipxe.efi", yiaddr: 0 });
    expect(ack.options.get(OPTION.messageType)?.[0]).toBe(MESSAGE_TYPE.ack);
  });

  it("leaves a machine that boots nothing to the other server", async () => {
    client.send(discoverOf(3), "255.255.255.255", 67);
    await answersTo(3, ["10.77.0.9"]);
    const event = await running.untilEvent(({ kind }) => kind === "proxy.silent");
    expect(event.summary).toContain("not a network-boot client");
    // Whatever we would have said came first: the next answer of ours is to the next client.
    client.send(discoverOf(4, pxe(7)), "255.255.255.255", 67);
    const next = await answersTo(4, ["10.77.0.1"]);
    expect(next.get("10.77.0.1")?.file).toBe("ipxe.efi");
  });

  it("keeps no leases", async () => {
    expect(await running.boot.ask("list-leases", null)).toEqual([]);
  });
});
