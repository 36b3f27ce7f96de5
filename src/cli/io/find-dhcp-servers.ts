/**
 * Asks the wire who answers a booting machine: one DISCOVER on each interface, every OFFER kept. Uses npm's `dhcp` as the
 * client, held back from taking the lease that it is offered.
 */
import { randomInt } from "node:crypto";
import { networkInterfaces } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import dhcp, { type DhcpClient, type DhcpMessage } from "dhcp";

export interface DhcpAnswer {
  /** On which it was asked for. */
  readonly interfaceName: string;
  /** Option 54, or the next server where it is missing. */
  readonly server: string;
  readonly offeredAddress: string;
  /** Boot file name or URL; empty when the server offers addresses only. */
  readonly bootFile: string;
}

export interface LocalAddress {
  readonly name: string;
  readonly address: string;
  readonly mac: string;
}

const CLIENT_PORT = 68;
const BROADCAST_FLAG = 0x8000;
/** RFC 4578 §2.1 */
const CLIENT_ARCHITECTURE = 93;
const X64_UEFI = 7;

/** IPv4 addresses of this host that a machine could be asked for on. @param interfaceNames empty: every interface */
export function localAddresses(interfaceNames: readonly string[]): LocalAddress[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses
      .filter(address => address.family === "IPv4" && !address.internal)
      .filter(() => interfaceNames.length === 0 || interfaceNames.includes(name))
      .map(({ address, mac }) => ({ name, address, mac })),
  );
}

/**
 * @returns every server that answered within `listenMs`, each once for each interface
 * @throws EACCES or EADDRINUSE where port 68 is not to be had
 */
export async function findDhcpServers(
  from: readonly LocalAddress[],
  listenMs: number,
  signal: AbortSignal,
): Promise<DhcpAnswer[]> {
  const answers = new Map<string, DhcpAnswer>();
  const clients: DhcpClient[] = [];
  const askedOn = new Map<number, string>();
  const open = async (address: string, mac: string) => {
    const client = restrain(dhcp.createClient({ mac, features: ["tftpServer", "bootFile"] }));
    clients.push(client);
    client.on("error", () => undefined);
    client.on("message", (message: DhcpMessage) => {
      const interfaceName = askedOn.get(message.xid);
      if (interfaceName === undefined) return;
      const answer = readAnswer(message, interfaceName);
      answers.set(`${interfaceName} ${answer.server}`, answer);
    });
    await new Promise<void>((resolve, reject) => {
      client._sock.on("error", reject);
      client.listen(CLIENT_PORT, address, resolve);
    });
    return client;
  };
  try {
    dhcp.addOption(CLIENT_ARCHITECTURE, {
      name: "Client System Architecture",
      type: "UInt16",
      attr: "clientArch",
    });
    // Broadcast answers arrive at the unspecified address only; a DISCOVER leaves by the interface whose address is bound.
    await open("0.0.0.0", "00:00:00:00:00:00");
    for (const { name, address, mac } of from) {
      const client = await open(address, mac);
      client._state.xid = randomInt(1, 2 ** 31);
      askedOn.set(client._state.xid, name);
      client.sendDiscover();
    }
    await sleep(listenMs, undefined, { signal });
    return [...answers.values()];
  } finally {
    for (const client of clients) client._sock.close();
  }
}

/** Left alone, this client answers the first offer with a REQUEST and so takes an address from a machine. */
function restrain(client: DhcpClient): DhcpClient {
  client.handleOffer = () => {};
  client.handleAck = () => {};
  const send = client._send.bind(client);
  client._send = (host, message) => {
    const options = {
      ...(message.options as object),
      60: "PXEClient:Arch:00007:UNDI:003016",
      [CLIENT_ARCHITECTURE]: X64_UEFI,
    };
    send(host, { ...message, flags: BROADCAST_FLAG, options });
  };
  return client;
}

function readAnswer({ options, siaddr, yiaddr, file }: DhcpMessage, interfaceName: string): DhcpAnswer {
  const server = typeof options[54] === "string" ? options[54] : siaddr;
  const bootFile = file !== "" ? file : typeof options[67] === "string" ? options[67] : "";
  return { interfaceName, server, offeredAddress: yiaddr, bootFile };
}
