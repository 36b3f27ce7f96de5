/**
 * A UDP socket that hears one interface only. Node has no SO_BINDTODEVICE, and the packages on npm that add it bring no
 * working Linux binary (sockopt 2.0.1 ships macOS files under that name). So this goes by IPv6, whose link-local addresses
 * name their interface: bind() of an IPv6 socket takes the interface over from the address's scope, and only then looks
 * whether the address is ours (Linux, net/ipv6/af_inet6.c, __inet6_bind()). The address asked for first is nobody's: that
 * bind fails and leaves the socket on the interface, where `ss -uln` shows it. The second bind is to the IPv4 address that
 * is wanted, in IPv6's spelling. No manual promises this, so each process asks its kernel once whether it holds.
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { bindSocket, closeUdp, RECEIVE_BUFFER_BYTES, type UdpBinding } from "./udp.ts";

export interface InterfaceBinding extends UdpBinding {
  readonly interfaceName: string;
  /** Others may have the port too: every one of them hears a broadcast. */
  readonly shared?: boolean;
}

/** Link-local and nobody's: the last one of fe80::/64. */
const NOBODYS_ADDRESS = "fe80::ffff:ffff:ffff:ffff";

/**
 * Senders' addresses are in IPv6's spelling: see `plainIpv4`.
 *
 * @throws {DrpError} port.in-use, port.forbidden, config.invalid
 * @throws {Error} where the kernel does not have IPv6 (ipv6.disable=1)
 */
export async function bindToInterface(binding: InterfaceBinding): Promise<Socket> {
  const { interfaceName, address, port, shared = false } = binding;
  const socket = createSocket({ type: "udp6", reuseAddr: shared, recvBufferSize: RECEIVE_BUFFER_BYTES });
  try {
    await takeInterface(socket, interfaceName);
  } catch (error) {
    await closeUdp(socket);
    throw error;
  }
  return await bindSocket(socket, binding, () => socket.bind(port, `::ffff:${address}`));
}

async function takeInterface(socket: Socket, interfaceName: string): Promise<void> {
  const code = await new Promise<unknown>(resolve => {
    socket.once("error", error => resolve("code" in error ? error.code : error));
    socket.bind(0, `${NOBODYS_ADDRESS}%${interfaceName}`, () => resolve("bound"));
  });
  if (code !== "EADDRNOTAVAIL") throw new Error(`no socket on interface ${interfaceName} alone: ${code}`);
}

let separates: Promise<boolean> | undefined;

/**
 * Whether sockets of this kernel can be kept to one interface: one that is kept to `interfaceName` must not hear what
 * comes by loopback, and the kernel says so to the sender (ECONNREFUSED). Asked until there is an answer, then known.
 */
export async function separatesInterfaces(interfaceName: string): Promise<boolean> {
  // On loopback itself nothing is to be seen.
  if (interfaceName === "lo") return true;
  separates ??= tryToHearLoopback(interfaceName).then(heard => !heard);
  return await separates.catch(() => {
    // An interface that went away at this moment says nothing of the kernel: ask again for the next one.
    separates = undefined;
    return false;
  });
}

async function tryToHearLoopback(interfaceName: string): Promise<boolean> {
  const address = "127.0.0.1";
  const listener = await bindToInterface({ interfaceName, address, port: 0, service: "DHCP" });
  const sender = createSocket("udp4");
  try {
    sender.connect(listener.address().port, address);
    await once(sender, "connect");
    const heard = Promise.race([
      once(listener, "message").then(() => true),
      once(sender, "message").catch(() => false),
    ]);
    sender.send("");
    return (await heard) !== false;
  } finally {
    await Promise.all([closeUdp(listener), closeUdp(sender)]);
  }
}

/** "::ffff:10.0.0.9", as an IPv6 socket has it, is 10.0.0.9. */
export function plainIpv4(address: string): string {
  return address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
}
