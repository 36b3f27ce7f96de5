/** The two ends of a connection, as our timeline and our URLs write them. */
import type { IncomingMessage } from "node:http";

export function remoteAddress({ socket }: IncomingMessage): string {
  return withoutIpv6Prefix(socket.remoteAddress);
}

export function localAddress({ socket }: IncomingMessage): string {
  return withoutIpv6Prefix(socket.localAddress);
}

/** Where the machine reached us; its Host field is a stranger's word, and HTTP/1.0 has none. */
export function localHost(request: IncomingMessage): string {
  return `${localAddress(request)}:${request.socket.localPort}`;
}

/** A socket on "::" shows IPv4 addresses as ::ffff:10.0.0.1; one that is closed has none. */
export function withoutIpv6Prefix(address: string | undefined): string {
  return address?.replace(/^::ffff:/, "") ?? "";
}
