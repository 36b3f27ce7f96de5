/** UDP sockets whose failures to bind say what to do. */
import { createSocket, type Socket, type SocketOptions } from "node:dgram";
import { once } from "node:events";
import { DrpError } from "../../core/errors.ts";

export interface UdpBinding {
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  /** "DHCP", "TFTP": for errors. */
  readonly service: string;
  /** The configuration's key of this port; none for DHCP, whose port is what clients know. */
  readonly portKey?: string;
}

/** Bursts of hundreds of machines that power on together; the kernel may give less (net.core.rmem_max). */
export const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
/**
 * The kernel holds up to 208 KiB for each neighbour that does not answer ARP (net.ipv4.neigh.*.unres_qlen_bytes), which is all
 * of a socket's buffer by default: one relay that is switched off would hold up every reply. It may give less
 * (net.core.wmem_max), but at least twice the default.
 */
const SEND_BUFFER_BYTES = 4 * 1024 * 1024;

/**
 * Never shares a port: a second server of any kind is an error, not a lottery.
 *
 * @throws {DrpError} port.in-use, port.forbidden, config.invalid
 */
export async function bindUdp(binding: UdpBinding): Promise<Socket> {
  const socket = createSocket({
    type: "udp4",
    recvBufferSize: RECEIVE_BUFFER_BYTES,
    sendBufferSize: SEND_BUFFER_BYTES,
    lookup: asItIs,
  });
  return await bindSocket(socket, binding, () => socket.bind(binding.port, binding.address));
}

/** We send to addresses, never to names: Node's own look-up costs a turn of the event loop for each datagram. */
const asItIs: NonNullable<SocketOptions["lookup"]> = (address, _options, callback) => {
  callback(null, address, 4);
};

/** Waits for a bind; a socket that could not be bound is closed. @throws as `bindUdp` */
export async function bindSocket(socket: Socket, binding: UdpBinding, bind: () => void): Promise<Socket> {
  try {
    const listening = once(socket, "listening");
    bind();
    await listening;
  } catch (error) {
    socket.close();
    throw explainBindFailure(error, binding);
  }
  return socket;
}

export async function closeUdp(socket: Socket): Promise<void> {
  const closed = once(socket, "close");
  socket.close();
  await closed;
}

function explainBindFailure(cause: unknown, { address, port, service, portKey }: UdpBinding): unknown {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  const facts = { address, port, service };
  const orMoveIt = portKey === undefined ? "" : `, or set ${portKey} in the configuration`;
  if (code === "EADDRINUSE") {
    return new DrpError(
      "port.in-use",
      `${service} cannot listen on ${address}:${port}/udp: the port is taken`,
      {
        advice: `Find who has it with "ss -ulpn sport = :${port}" and stop it${orMoveIt}.`,
        facts,
        cause,
      },
    );
  }
  if (code === "EACCES" || code === "EPERM") {
    return new DrpError("port.forbidden", `${service} may not listen on ${address}:${port}/udp`, {
      advice: `Run as root or with CAP_NET_BIND_SERVICE${orMoveIt}.`,
      facts,
      cause,
    });
  }
  if (code === "EADDRNOTAVAIL") {
    return new DrpError(
      "config.invalid",
      `${service} cannot listen on ${address}: no interface has that address`,
      {
        advice: `Give the interface the address ("ip addr"), or name another one in the configuration.`,
        facts,
        cause,
      },
    );
  }
  return cause;
}
