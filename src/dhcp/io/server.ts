/**
 * The DHCP server's sockets: receives, asks for the decision, makes leases durable, sends.
 *
 * Node cannot bind a socket to a device, so this stands on two facts of Linux: a socket bound to 255.255.255.255 receives
 * the broadcasts (of every interface), and a broadcast sent from a socket that is bound to an interface's own address
 * leaves by that interface, from that address. Which interface a broadcast came in by is not to be had this way, so one
 * interface is served; networks behind relays come by unicast and need none of it.
 */
import type { Socket } from "node:dgram";
import { DecodeError, DrpError, describeErrorChain } from "../../core/errors.ts";
import { formatIpv4, type Ipv4 } from "../../core/ipv4.ts";
import type { MacAddress } from "../../core/mac.ts";
import type { Clock } from "../../core/time.ts";
import type { BootEvent } from "../boot-event.ts";
import { clientKeyOf, isMac } from "../client-key.ts";
import { type DhcpDecision, type DhcpReply, type DhcpState, decideDhcp, type ReceivedOn } from "../decide.ts";
import { describeDecision } from "../describe.ts";
import { isDurable } from "../lease-change.ts";
import { type DhcpMessage, decodePacket, encodePacket } from "../packet.ts";
import { chooseDestination, SERVER_PORT } from "../transmit.ts";
import type { LeaseJournal } from "./lease-journal.ts";
import { bindUdp, closeUdp } from "./udp.ts";

export interface ServedInterface {
  readonly name: string;
  readonly address: Ipv4;
}

/** Null where the packet did not say whose it is. */
export type BootEventListener = (mac: MacAddress | null, event: BootEvent) => void;

export interface DhcpServerOptions {
  readonly interfaces: readonly ServedInterface[];
  /** Asked for each message, so that a new configuration takes effect with the next one. */
  readonly state: () => DhcpState;
  readonly journal: LeaseJournal;
  readonly clock: Clock;
  readonly onEvent: BootEventListener;
}

export interface DhcpServer {
  close(): Promise<void>;
}

/** Clients that wait for a slow disk retry; beyond this many, memory is worth more than one more promise. */
const MAX_WAITING_ACKS = 10_000;

/** @throws {DrpError} port.in-use, port.forbidden, config.invalid */
export async function startDhcpServer(options: DhcpServerOptions): Promise<DhcpServer> {
  const [served, ...others] = options.interfaces;
  if (served === undefined || others.length > 0) {
    throw new DrpError(
      "config.invalid",
      `DHCP serves one interface; ${options.interfaces.length} are named`,
      {
        advice: "Name one interface, and reach other networks through a DHCP relay.",
      },
    );
  }
  const receivedOn: ReceivedOn = { interfaceName: served.name, address: served.address };
  const own = await bindUdp({ address: formatIpv4(served.address), port: SERVER_PORT, service: "DHCP" });
  own.setBroadcast(true);
  const broadcasts = await bindUdp({
    address: "255.255.255.255",
    port: SERVER_PORT,
    service: "DHCP",
  }).catch(async error => {
    await closeUdp(own);
    throw error;
  });
  const exchange = new DhcpExchange(options, receivedOn, own);
  for (const socket of [own, broadcasts]) {
    socket.on("message", bytes => exchange.receive(bytes));
    // An interface that went away must not end the server; the next message is tried again.
    socket.on("error", error => exchange.reportFailure(null, error));
  }
  return {
    close: async () => {
      exchange.stopSending();
      await Promise.all([closeUdp(own), closeUdp(broadcasts)]);
    },
  };
}

class DhcpExchange {
  private readonly options: DhcpServerOptions;
  private readonly receivedOn: ReceivedOn;
  private readonly socket: Socket;
  private waitingAcks = 0;
  private stopped = false;

  constructor(options: DhcpServerOptions, receivedOn: ReceivedOn, socket: Socket) {
    this.options = options;
    this.receivedOn = receivedOn;
    this.socket = socket;
  }

  receive(bytes: Uint8Array): void {
    let message: DhcpMessage;
    try {
      message = decodePacket(bytes);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      const summary = `not a DHCP message: ${error.message}`;
      this.options.onEvent(null, { kind: "dhcp.malformed", summary, facts: { sizeBytes: bytes.length } });
      return;
    }
    const decision = decideDhcp(message, this.receivedOn, this.options.state(), this.options.clock());
    void this.carryOut(message, decision);
  }

  /** The change counts from now on, so that nobody else is given the address; the reply waits for the disk. */
  private async carryOut(message: DhcpMessage, decision: DhcpDecision): Promise<void> {
    const mac = macOf(message);
    const { change } = decision;
    if (change !== null && isDurable(change)) {
      if (this.waitingAcks >= MAX_WAITING_ACKS) {
        this.reportFailure(mac, new Error("the lease journal is too slow: the client must ask again"));
        return;
      }
      const { leases } = this.options.state();
      const applied = leases.apply(change);
      this.waitingAcks++;
      try {
        await this.options.journal.append(change);
      } catch (error) {
        if (applied !== undefined) leases.revert(applied);
        this.reportFailure(mac, error);
        return;
      } finally {
        this.waitingAcks--;
      }
    } else if (change !== null) {
      this.options.state().leases.apply(change);
    }
    if (decision.kind === "reply") this.send(decision, mac);
    this.options.onEvent(mac, describeDecision(message, this.receivedOn, decision));
  }

  /** ACKs that still wait for the disk stay unsent: their clients ask again. */
  stopSending(): void {
    this.stopped = true;
  }

  private send({ message, maxBytes }: DhcpReply, mac: MacAddress | null): void {
    if (this.stopped) return;
    const { address, port } = chooseDestination(message);
    this.socket.send(encodePacket(message, maxBytes), port, formatIpv4(address), error => {
      if (error !== null) this.reportFailure(mac, error);
    });
  }

  reportFailure(mac: MacAddress | null, error: unknown): void {
    const summary = `no answer was sent: ${describeErrorChain(error)}`;
    this.options.onEvent(mac, { kind: "dhcp.failed", summary, facts: {} });
  }
}

function macOf(message: DhcpMessage): MacAddress | null {
  const client = clientKeyOf(message);
  return client !== undefined && isMac(client) ? client : null;
}
