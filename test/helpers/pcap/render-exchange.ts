/**
 * An exchange as text that a person reviews: who said what to whom, in order, without times. DHCP and ProxyDHCP with every
 * option, TFTP with its data collapsed, HTTP by its heads. What differs from run to run has a stable name (names.ts).
 */
import { DecodeError } from "../../../src/core/errors.ts";
import { dhcpLines } from "./dhcp-text.ts";
import { type HttpHead, HttpHeads } from "./http-heads.ts";
import { Names } from "./names.ts";
import type { Endpoint, Packet, Unread } from "./packets.ts";
import { readTftp, TransferRun } from "./tftp-text.ts";

export interface RenderOptions {
  /** TCP ports on which HTTP is spoken. */
  readonly httpPorts: readonly number[];
}

const DHCP_PORTS = new Set([67, 68, 4011]);
const TFTP_PORT = 69;
/** What a server decides by; dates, names and versions of programs are noise. */
const TOLD_FIELDS = [
  ...["host", "range", "if-range", "if-none-match"],
  ...["content-length", "content-range", "content-type", "accept-ranges", "etag", "location", "allow"],
];
const ETAG_FIELDS = new Set(["etag", "if-none-match", "if-range"]);

/** @returns lines that end with a newline; packets that are none of ours are left out */
export function renderExchange(
  packets: readonly (Packet | Unread)[],
  { httpPorts }: RenderOptions = { httpPorts: [8091] },
): string {
  const exchange = new Exchange(new Set(httpPorts));
  for (const packet of packets) if (packet.kind !== "unread") exchange.add(packet);
  return exchange.toString();
}

/** A transfer's data is told where it began; how much it was is known at the end. */
type Line = string | { readonly name: string; readonly run: TransferRun };

interface Transfer {
  readonly name: string;
  run: TransferRun | undefined;
}

interface Connection {
  readonly requests: HttpHeads;
  readonly responses: HttpHeads;
}

class Exchange {
  private readonly names = new Names();
  private readonly httpPorts: ReadonlySet<number>;
  private readonly lines: Line[] = [];
  /** By the client's address and port: the server's port changes with the first answer. */
  private readonly transfers = new Map<string, Transfer>();
  private readonly connections = new Map<string, Connection>();

  constructor(httpPorts: ReadonlySet<number>) {
    this.httpPorts = httpPorts;
  }

  add(packet: Packet): void {
    if (packet.kind === "tcp") this.addSegment(packet);
    else if (DHCP_PORTS.has(packet.from.port) || DHCP_PORTS.has(packet.to.port)) this.addDhcp(packet);
    else this.addTftp(packet);
  }

  toString(): string {
    return this.lines
      .map(line => `${typeof line === "string" ? line : `${line.name}  ${line.run}`}\n`)
      .join("");
  }

  private addDhcp({ from, to, payload }: Packet): void {
    const route = `${this.endpoint(from)} → ${this.endpoint(to)}`;
    this.tell(() => {
      const [heading = "", ...options] = dhcpLines(payload, this.names);
      return [`${route}  ${heading}`, ...options.map(option => `    ${option.trim()}`)];
    }, route);
  }

  private addTftp({ from, to, payload }: Packet): void {
    if (to.port === TFTP_PORT) {
      const name = this.names.of("tftp", endpointKey(from));
      // The same port again is the same request sent again, or the next one of a client that keeps its port.
      this.transfers.set(endpointKey(from), { name, run: undefined });
    }
    const transfer = this.transfers.get(endpointKey(from)) ?? this.transfers.get(endpointKey(to));
    if (transfer === undefined) return;
    const isClient = this.transfers.has(endpointKey(from));
    const [source, target] = isClient
      ? [transfer.name, to.port === TFTP_PORT ? `${to.address}:${TFTP_PORT}` : to.address]
      : [from.address, transfer.name];
    const route = `${isClient ? `${from.address} ` : ""}${source} → ${isClient ? "" : `${to.address} `}${target}`;
    this.tell(() => {
      const seen = readTftp(payload);
      if (seen.kind === "told") {
        transfer.run = undefined;
        return [`${route}  ${seen.line}`];
      }
      const isNew = transfer.run === undefined;
      transfer.run ??= new TransferRun();
      transfer.run.add(seen);
      return isNew ? [{ name: transfer.name, run: transfer.run }] : [];
    }, route);
  }

  private addSegment(packet: Extract<Packet, { kind: "tcp" }>): void {
    const { from, to } = packet;
    const isRequest = this.httpPorts.has(to.port);
    if (!isRequest && !this.httpPorts.has(from.port)) return;
    const key = isRequest
      ? `${endpointKey(from)} ${endpointKey(to)}`
      : `${endpointKey(to)} ${endpointKey(from)}`;
    const connection = this.connections.get(key) ?? newConnection();
    this.connections.set(key, connection);
    const heads = (isRequest ? connection.requests : connection.responses).add(packet);
    for (const head of heads) {
      this.lines.push(
        `${this.endpoint(from)} → ${this.endpoint(to)}  ${this.names.nameMacs(head.startLine)}`,
      );
      for (const name of TOLD_FIELDS) {
        const value = head.fields.get(name);
        if (value !== undefined) this.lines.push(`    ${name}: ${this.field(name, value)}`);
      }
    }
  }

  /** A packet that cannot be decoded is told as such: what it was said to be, and why it is not. */
  private tell(render: () => readonly Line[], route: string): void {
    try {
      this.lines.push(...render());
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.lines.push(`${route}  malformed: ${error.message}`);
    }
  }

  private endpoint({ address, port }: Endpoint): string {
    const known = DHCP_PORTS.has(port) || port === TFTP_PORT || this.httpPorts.has(port);
    return `${address}:${known ? port : this.names.of("port", `${address}:${port}`)}`;
  }

  private field(name: string, value: string): string {
    return ETAG_FIELDS.has(name) ? this.names.of("etag", value) : value;
  }
}

/** Answers come in the order of the requests (RFC 9112 §9.3.2). */
function newConnection(): Connection {
  const methods: string[] = [];
  const noRequestBody = (head: HttpHead) => {
    methods.push(head.startLine.split(" ")[0] ?? "");
    return false;
  };
  const noResponseBody = ({ startLine }: HttpHead) => {
    const status = startLine.split(" ")[1] ?? "";
    // "100 Continue" answers nothing yet.
    if (status.startsWith("1")) return true;
    return methods.shift() === "HEAD" || status === "204" || status === "304";
  };
  return { requests: new HttpHeads(noRequestBody), responses: new HttpHeads(noResponseBody) };
}

function endpointKey({ address, port }: Endpoint): string {
  return `${address}:${port}`;
}
