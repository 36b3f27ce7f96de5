/**
 * The DHCP server on its interfaces: each has sockets of its own, all share the leases. Networks behind relays come by unicast
 * to whichever address the relay knows.
 */
import type { MacAddress } from "../../core/mac.ts";
import type { BootEvent } from "../boot-event.ts";
import type { ReceivedOn } from "../decide.ts";
import { openDhcpSockets, type ServedInterface } from "./dhcp-sockets.ts";
import { DhcpExchange, type Door, type ExchangeOptions } from "./exchange.ts";

/** Null where the packet did not say whose it is. */
export type BootEventListener = (mac: MacAddress | null, event: BootEvent) => void;

export interface DhcpServerOptions extends ExchangeOptions {
  /** 67, but for tests and unusual sites. */
  readonly port: number;
  /** Whether one interface only is to be served. */
  readonly alone: boolean;
}

export class DhcpServer {
  private readonly options: DhcpServerOptions;
  private readonly exchange: DhcpExchange;

  constructor(options: DhcpServerOptions) {
    this.options = options;
    this.exchange = new DhcpExchange(options);
  }

  /**
   * Serves an interface until it is closed. ACKs that still wait for the disk then stay unsent: their clients ask again.
   *
   * @throws {DrpError} port.in-use, port.forbidden, config.invalid
   */
  async open(on: ServedInterface): Promise<{ close(): Promise<void> }> {
    const { port, alone, otherServers } = this.options;
    const { exchange } = this;
    const receivedOn: ReceivedOn = { interfaceName: on.name, address: on.address };
    const sockets = await openDhcpSockets({
      on,
      port,
      service: "DHCP",
      alone,
      onMessage: (bytes, from, broadcast) =>
        exchange.receive(bytes, from, broadcast ? byBroadcast : byUnicast),
      // An interface that went away must not end the server; the next message is tried again.
      onError: error => exchange.reportFailure(null, error, on.name),
    });
    const byUnicast: Door = { receivedOn: { ...receivedOn, broadcast: false }, sockets };
    const byBroadcast: Door = { receivedOn: { ...receivedOn, broadcast: true }, sockets };
    const search = await otherServers.open(receivedOn, sockets);
    return {
      close: async () => {
        await search.close();
        await sockets.close();
      },
    };
  }
}
