/**
 * Many DHCP clients in one process, which measures how long each of their answers takes: `node dhcp-latency-client.ts SERVER
 * CLIENTS RATE SECONDS` prints one DhcpLatencies as JSON. Each exchange is DISCOVER, OFFER, REQUEST, ACK, sent to the server's
 * address and answered by broadcast, as for a client that has no address yet.
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Ipv4 } from "../src/core/ipv4.ts";
import { ipv4Value, OPTION, type OptionEntry, readUint8 } from "../src/dhcp/options.ts";
import { BOOT_REQUEST, decodePacket, encodePacket, MESSAGE_TYPE } from "../src/dhcp/packet.ts";
import { goFirst } from "../src/pxe/io/go-first.ts";

export interface DhcpLatencies {
  /** From each DISCOVER to its OFFER. */
  readonly offerMs: readonly number[];
  /** From each REQUEST to its ACK. */
  readonly ackMs: readonly number[];
  /** How many of these were never answered: 4,000 ms stand for them, as a client asks again then (RFC 2131 §4.1). */
  readonly unanswered: number;
}

const CLIENT_PORT = 68;
const SERVER_PORT = 67;
const ANSWER_WITHIN_MS = 4000;
/** Locally administered, and nobody's: 02:d4:… */
const MAC_PREFIX = [0x02, 0xd4];

interface Exchange {
  readonly chaddr: Uint8Array;
  sentAt: number;
  awaits: "offer" | "ack";
}

class DhcpClients {
  readonly #socket: Socket;
  readonly #server: string;
  readonly #open = new Map<number, Exchange>();
  readonly #measured = { offer: [] as number[], ack: [] as number[] };
  #nextXid = process.pid << 12;

  constructor(socket: Socket, server: string) {
    this.#socket = socket;
    this.#server = server;
    socket.on("message", bytes => this.#hear(bytes, performance.now()));
  }

  discover(client: number): void {
    const xid = this.#nextXid++ >>> 0;
    const chaddr = Uint8Array.of(...MAC_PREFIX, 0, 0, client >> 8, client & 0xff);
    const exchange: Exchange = { chaddr, sentAt: performance.now(), awaits: "offer" };
    this.#open.set(xid, exchange);
    this.#send(xid, exchange, [[OPTION.messageType, Uint8Array.of(MESSAGE_TYPE.discover)]]);
  }

  /** Once nobody waits any more. */
  latencies(): DhcpLatencies {
    const open = [...this.#open.values()];
    const never = (awaited: Exchange["awaits"]) =>
      open.filter(({ awaits }) => awaits === awaited).map(() => ANSWER_WITHIN_MS);
    return {
      offerMs: [...this.#measured.offer, ...never("offer")],
      ackMs: [...this.#measured.ack, ...never("ack")],
      unanswered: open.length,
    };
  }

  get isWaiting(): boolean {
    return this.#open.size > 0;
  }

  #hear(bytes: Uint8Array, now: number): void {
    const reply = decodePacket(bytes);
    const exchange = this.#open.get(reply.xid);
    const type = readUint8(reply.options, OPTION.messageType);
    if (exchange === undefined) return;
    if (exchange.awaits === "ack") {
      if (type !== MESSAGE_TYPE.ack) return;
      this.#measured.ack.push(now - exchange.sentAt);
      this.#open.delete(reply.xid);
      return;
    }
    if (type !== MESSAGE_TYPE.offer) return;
    this.#measured.offer.push(now - exchange.sentAt);
    exchange.awaits = "ack";
    exchange.sentAt = performance.now();
    this.#send(reply.xid, exchange, [
      [OPTION.messageType, Uint8Array.of(MESSAGE_TYPE.request)],
      [OPTION.requestedAddress, ipv4Value(reply.yiaddr)],
      [OPTION.serverIdentifier, reply.options.get(OPTION.serverIdentifier) ?? new Uint8Array()],
    ]);
  }

  #send(xid: number, { chaddr }: Exchange, options: readonly OptionEntry[]): void {
    const none = 0 as Ipv4;
    const addresses = { ciaddr: none, yiaddr: none, siaddr: none, giaddr: none };
    const fixed = { op: BOOT_REQUEST, htype: 1, hops: 0, secs: 0, broadcast: true, sname: "", file: "" };
    const message = { ...fixed, ...addresses, xid, chaddr, options: new Map(options) };
    this.#socket.send(encodePacket(message), SERVER_PORT, this.#server);
  }
}

const [server = "", ...numbers] = process.argv.slice(2);
const [clientCount = 0, perSecond = 0, seconds = 0] = numbers.map(Number);
// What is measured is the server: clients that share its cores with a load generator are not to wait for it.
goFirst();
const socket = createSocket({ type: "udp4", recvBufferSize: 4 * 1024 * 1024 });
socket.bind(CLIENT_PORT);
await once(socket, "listening");
const clients = new DhcpClients(socket, server);
const startedAt = performance.now();
for (let sent = 0; sent < perSecond * seconds; ) {
  const due = ((performance.now() - startedAt) / 1000) * perSecond;
  while (sent < due && sent < perSecond * seconds) clients.discover(sent++ % clientCount);
  await sleep(1);
}
const deadline = performance.now() + ANSWER_WITHIN_MS;
while (clients.isWaiting && performance.now() < deadline) await sleep(1);
socket.close();
process.stdout.write(JSON.stringify(clients.latencies()));
