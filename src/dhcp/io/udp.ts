/** UDP sockets whose failures to bind say what to do. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { DrpError } from "../../core/errors.ts";

export interface UdpBinding {
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  /** "DHCP", "TFTP": for errors. */
  readonly service: string;
}

/** Bursts of hundreds of machines that power on together; the kernel may give less (net.core.rmem_max). */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;

/**
 * Never shares a port: a second server of any kind is an error, not a lottery.
 *
 * @throws {DrpError} port.in-use, port.forbidden, config.invalid
 */
export async function bindUdp({ address, port, service }: UdpBinding): Promise<Socket> {
  const socket = createSocket({ type: "udp4", recvBufferSize: RECEIVE_BUFFER_BYTES });
  socket.bind(port, address);
  try {
    await once(socket, "listening");
  } catch (error) {
    socket.close();
    throw explainBindFailure(error, { address, port, service });
  }
  return socket;
}

export async function closeUdp(socket: Socket): Promise<void> {
  const closed = once(socket, "close");
  socket.close();
  await closed;
}

function explainBindFailure(cause: unknown, { address, port, service }: UdpBinding): unknown {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  const facts = { address, port, service };
  if (code === "EADDRINUSE") {
    return new DrpError(
      "port.in-use",
      `${service} cannot listen on ${address}:${port}/udp: the port is taken`,
      {
        advice: `Find who has it with "ss -ulpn sport = :${port}" and stop it, or give another port in the configuration.`,
        facts,
        cause,
      },
    );
  }
  if (code === "EACCES" || code === "EPERM") {
    return new DrpError("port.forbidden", `${service} may not listen on ${address}:${port}/udp`, {
      advice: "Run as root or with CAP_NET_BIND_SERVICE, or give a port above 1023 in the configuration.",
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
