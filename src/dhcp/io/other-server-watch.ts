/**
 * Listens and looks for other DHCP servers on each interface: hears what servers broadcast to clients, and now and then asks
 * as a client would. What is found is told once an hour; no offer is ever taken.
 */
import { randomBytes } from "node:crypto";
import type { Socket } from "node:dgram";
import { DecodeError } from "../../core/errors.ts";
import { formatIpv4, type Ipv4, LIMITED_BROADCAST, parseIpv4, UNSPECIFIED } from "../../core/ipv4.ts";
import type { Clock } from "../../core/time.ts";
import type { EventSink } from "../boot-event.ts";
import type { ReceivedOn } from "../decide.ts";
import { OtherServers, serverOf } from "../other-servers.ts";
import { BOOT_REPLY, type DhcpMessage, decodePacket, encodePacket } from "../packet.ts";
import { searchForServers } from "../server-search.ts";
import { CLIENT_PORT, SERVER_PORT } from "../transmit.ts";
import type { ConflictProber } from "./conflict-prober.ts";
import type { DhcpSockets } from "./dhcp-sockets.ts";
import { bindToInterface, plainIpv4 } from "./interface-socket.ts";
import { macOfInterface } from "./interface-state.ts";
import { closeUdp } from "./udp.ts";

export interface OtherServerWatchOptions {
  readonly ownAddresses: () => readonly Ipv4[];
  readonly prober: ConflictProber;
  readonly clock: Clock;
  readonly onEvent: EventSink;
  /** What `notes` says has changed. */
  readonly onChanged: () => void;
}

/** A server that was plugged in is found before the next coffee; ours costs the others six offers an hour. */
const SEARCH_EVERY_MS = 600_000;

export class OtherServerWatch {
  private readonly options: OtherServerWatchOptions;
  private readonly servers = new OtherServers();
  /** Of our own searches: they come back to us, because a host hears its own broadcasts. */
  private readonly xids = new Set<number>();

  constructor(options: OtherServerWatchOptions) {
    this.options = options;
  }

  /** Lines for people: who was heard of late, and what to do. */
  notes(): string[] {
    return this.servers.notes(this.options.clock());
  }

  isOwnSearch(message: DhcpMessage): boolean {
    return this.xids.has(message.xid);
  }

  /** A message of some server, from wherever it was heard. */
  hear(message: DhcpMessage, sender: Ipv4 | undefined, receivedOn: ReceivedOn): void {
    const server = serverOf(message, sender, this.options.ownAddresses());
    if (server === undefined) return;
    const address = message.yiaddr === UNSPECIFIED ? "" : ` the address ${formatIpv4(message.yiaddr)}`;
    const whom = this.xids.has(message.xid) ? "offered us" : "answered a client with";
    this.note(server, receivedOn, address === "" ? "it answers boot requests" : `it ${whom}${address}`);
  }

  /** @param how one clause for people */
  note(server: Ipv4, receivedOn: ReceivedOn, how: string): void {
    void this.resolveAndNote(server, receivedOn, how);
  }

  /** Listens on an interface and searches it from now on; port 68 may be somebody's, and then only answers to others are heard. */
  async open(receivedOn: ReceivedOn, sockets: DhcpSockets): Promise<{ close(): Promise<void> }> {
    const listener = await this.listen(receivedOn);
    const search = () => this.search(receivedOn, sockets);
    search();
    const timer = setInterval(search, SEARCH_EVERY_MS);
    return {
      close: async () => {
        clearInterval(timer);
        if (listener !== undefined) await closeUdp(listener);
      },
    };
  }

  private async listen(receivedOn: ReceivedOn): Promise<Socket | undefined> {
    let socket: Socket;
    try {
      socket = await bindToInterface({
        interfaceName: receivedOn.interfaceName,
        address: "255.255.255.255",
        port: CLIENT_PORT,
        service: "DHCP",
        shared: true,
      });
    } catch {
      return undefined;
    }
    socket.on("error", () => {});
    socket.on("message", (bytes, from) => {
      try {
        const message = decodePacket(bytes);
        if (message.op === BOOT_REPLY) this.hear(message, parseIpv4(plainIpv4(from.address)), receivedOn);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
    });
    return socket;
  }

  private search(receivedOn: ReceivedOn, sockets: DhcpSockets): void {
    const mac = macOfInterface(receivedOn.interfaceName);
    if (mac === undefined) return;
    const xid = randomBytes(4).readUInt32BE();
    this.xids.add(xid);
    // Answers come within seconds; a client may come upon the same number another day.
    setTimeout(() => this.xids.delete(xid), SEARCH_EVERY_MS / 10).unref();
    const bytes = encodePacket(searchForServers(mac, xid));
    sockets.send(bytes, SERVER_PORT, LIMITED_BROADCAST, () => {});
  }

  private async resolveAndNote(server: Ipv4, receivedOn: ReceivedOn, how: string): Promise<void> {
    const { prober, clock, onEvent, onChanged } = this.options;
    const isNew = !this.servers.knows(server) && !prober.isBusy;
    const from = receivedOn.address;
    const found = isNew ? await prober.probe({ address: server, client: null, from }) : undefined;
    const mac = found?.kind === "taken" ? found.mac : null;
    const event = this.servers.note({ server, mac, interfaceName: receivedOn.interfaceName, how }, clock());
    if (event !== undefined) onEvent(null, event.kind, () => event);
    if (isNew) onChanged();
  }
}
