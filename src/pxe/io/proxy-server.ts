/** The ProxyDHCP server's sockets: hears DISCOVERs beside the server that owns the addresses, and answers on port 4011. */
import { DecodeError, describeErrorChain } from "../../core/errors.ts";
import { formatIpv4, UNSPECIFIED } from "../../core/ipv4.ts";
import type { EventSink } from "../../dhcp/boot-event.ts";
import { clientKeyOf, macOfClient } from "../../dhcp/client-key.ts";
import type { ReceivedOn } from "../../dhcp/decide.ts";
import {
  type DhcpSockets,
  MAX_WAITING_UNICASTS,
  openDhcpSockets,
  type Sender,
  type ServedInterface,
} from "../../dhcp/io/dhcp-sockets.ts";
import { bindUdp, closeUdp } from "../../dhcp/io/udp.ts";
import { type DhcpMessage, decodePacket, encodePacket } from "../../dhcp/packet.ts";
import { chooseDestination } from "../../dhcp/transmit.ts";
import { describeProxyDecision, proxyEventKind } from "../describe-proxy.ts";
import { decideProxy, type ProxyPort, type ProxyState } from "../proxy.ts";

export interface ProxyServerOptions {
  readonly on: ServedInterface;
  /** Whether no other interface is to be served. */
  readonly alone: boolean;
  readonly ports: { readonly dhcp: number; readonly proxyDhcp: number };
  readonly state: ProxyState;
  readonly onEvent: EventSink;
}

/** @throws {DrpError} port.in-use, port.forbidden, config.invalid */
export async function startProxyServer(options: ProxyServerOptions): Promise<{ close(): Promise<void> }> {
  const { on, ports } = options;
  const receivedOn: ReceivedOn = { interfaceName: on.name, address: on.address };
  const reportFailure = (error: Error) =>
    options.onEvent(null, "proxy.failed", () => ({
      kind: "proxy.failed",
      summary: `no answer was sent: ${describeErrorChain(error)}`,
      facts: { interface: on.name },
    }));
  const bootServer = await bindUdp({
    address: formatIpv4(on.address),
    port: ports.proxyDhcp,
    service: "ProxyDHCP",
    portKey: "dhcp.proxyPort",
  });
  const sockets: DhcpSockets = await openDhcpSockets({
    on,
    port: ports.dhcp,
    service: "ProxyDHCP",
    alone: options.alone,
    onMessage: bytes => {
      answer(bytes, "dhcp", (message, reply) => {
        const { address, port } = chooseDestination(message);
        sockets.send(reply, port, address, reportFailure);
      });
    },
    onError: reportFailure,
  }).catch(async error => {
    await closeUdp(bootServer);
    throw error;
  });
  bootServer.on("error", reportFailure);
  const hear = (bytes: Uint8Array, from: Sender) =>
    answer(bytes, "boot-server", (message, reply) => {
      // Made-up senders answer no ARP: what waits for them must not fill our memory. Who is real asks again.
      if (bootServer.getSendQueueCount() >= MAX_WAITING_UNICASTS) return;
      // EDK2 listens on the port that it sent from, 4011, and not on 68; a relay has an address of its own.
      const relayed = message.giaddr !== UNSPECIFIED;
      const address = relayed ? formatIpv4(message.giaddr) : from.address;
      // RFC 768 lets a sender leave its port out; Node throws where one sends to port 0.
      if (!relayed && from.port === 0) return;
      bootServer.send(reply, relayed ? ports.dhcp : from.port, address, error => {
        if (error !== null) reportFailure(error);
      });
    });
  bootServer.on("message", (bytes, from: Sender) => {
    try {
      hear(bytes, from);
    } catch (error) {
      // A message that nobody foresaw must not end the service for everybody else.
      reportFailure(error instanceof Error ? error : new Error(String(error)));
    }
  });

  function answer(
    bytes: Uint8Array,
    port: ProxyPort,
    send: (message: DhcpMessage, bytes: Uint8Array) => void,
  ) {
    let message: DhcpMessage;
    try {
      message = decodePacket(bytes);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      options.onEvent(null, "proxy.malformed", () => ({
        kind: "proxy.malformed",
        summary: `not a DHCP message: ${error.message}`,
        facts: { sizeBytes: bytes.length, interface: on.name },
      }));
      return;
    }
    const decision = decideProxy(message, port, receivedOn, options.state);
    if (decision.kind === "reply") send(decision.message, encodePacket(decision.message, decision.maxBytes));
    options.onEvent(macOfClient(clientKeyOf(message)), proxyEventKind(decision), () =>
      describeProxyDecision(message, receivedOn, decision),
    );
  }

  return {
    close: async () => {
      await Promise.all([sockets.close(), closeUdp(bootServer)]);
    },
  };
}
