/**
 * The two sockets with which a DHCP server stands on an interface. One is bound to the interface's own address: it sends
 * every reply, so that each leaves by that interface and from that address, and a second server on the host is refused the
 * port. The other hears what is broadcast on that interface alone.
 */
import type { RemoteInfo, Socket } from "node:dgram";
import { DrpError } from "../../core/errors.ts";
import { formatIpv4, type Ipv4, parseIpv4 } from "../../core/ipv4.ts";
import { bindToInterface, plainIpv4, separatesInterfaces } from "./interface-socket.ts";
import { bindUdp, closeUdp } from "./udp.ts";

export interface ServedInterface {
  readonly name: string;
  readonly address: Ipv4;
}

export interface DhcpDoor {
  readonly on: ServedInterface;
  /** 67, but for tests and unusual sites. */
  readonly port: number;
  /** "DHCP", "ProxyDHCP": for errors. */
  readonly service: string;
  /** Whether no other interface is to be served: then a kernel that cannot tell them apart will do. */
  readonly alone: boolean;
  readonly onMessage: (bytes: Uint8Array, from: Sender, broadcast: boolean) => void;
  /** A socket failed; the next message is tried again. */
  readonly onError: (error: Error) => void;
}

export interface Sender {
  readonly address: string;
  readonly port: number;
}

export interface DhcpSockets {
  /** @param onError the datagram did not leave */
  send(bytes: Uint8Array, port: number, address: Ipv4, onError: (error: Error) => void): void;
  close(): Promise<void>;
}

const BROADCAST = "255.255.255.255";
const BROADCAST_ADDRESS = parseIpv4(BROADCAST);
/** Half a megabyte or so; a client that has waited behind as many asks again anyway. */
const MAX_WAITING = 1000;
/**
 * The kernel keeps what goes to an address that answers no ARP for 3 s, at the cost of this socket's buffer. Whoever makes up
 * relays or clients would fill it for good, and everybody's replies would queue behind: so while more than a few wait, only
 * what every client on the network hears is added to them.
 */
export const MAX_WAITING_UNICASTS = 16;

/** @throws {DrpError} port.in-use, port.forbidden, config.invalid */
export async function openDhcpSockets(door: DhcpDoor): Promise<DhcpSockets> {
  const { on, port, service } = door;
  const own = await bindUdp({ address: formatIpv4(on.address), port, service });
  own.setBroadcast(true);
  let broadcasts: Socket;
  try {
    broadcasts = await bindBroadcasts(door);
  } catch (error) {
    await closeUdp(own);
    throw error;
  }
  own.on("message", (bytes, from) => hear(door, bytes, from, false));
  broadcasts.on("message", (bytes, { address, port }: RemoteInfo) =>
    hear(door, bytes, { address: plainIpv4(address), port }, true),
  );
  for (const socket of [own, broadcasts]) socket.on("error", door.onError);
  let open = true;
  return {
    send: (bytes, toPort, address, onError) => {
      if (!open) return;
      const waiting = own.getSendQueueCount();
      if (waiting >= (address === BROADCAST_ADDRESS ? MAX_WAITING : MAX_WAITING_UNICASTS)) {
        onError(new Error(`${waiting} datagrams wait for the network already; the client must ask again`));
        return;
      }
      own.send(bytes, toPort, formatIpv4(address), error => {
        if (error !== null) onError(error);
      });
    },
    close: async () => {
      open = false;
      await Promise.all([closeUdp(own), closeUdp(broadcasts)]);
    },
  };
}

/** A message that nobody foresaw must not end the service for everybody else. */
function hear(door: DhcpDoor, bytes: Uint8Array, from: Sender, broadcast: boolean): void {
  try {
    door.onMessage(bytes, from, broadcast);
  } catch (error) {
    door.onError(error instanceof Error ? error : new Error(String(error)));
  }
}

async function bindBroadcasts({ on, port, service, alone }: DhcpDoor): Promise<Socket> {
  const binding = { address: BROADCAST, port, service };
  if (await separatesInterfaces(on.name))
    return await bindToInterface({ ...binding, interfaceName: on.name });
  if (alone) return await bindUdp(binding);
  throw new DrpError("config.invalid", `${service} cannot tell the interfaces of this host apart`, {
    advice:
      "Name one interface in dhcp.interfaces, or start the kernel with IPv6 (no address of it is needed).",
    facts: { interface: on.name },
  });
}
