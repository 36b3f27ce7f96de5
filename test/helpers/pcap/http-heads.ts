/** The request and response heads of HTTP/1.1 connections (RFC 9112), out of TCP segments in any order. Bodies are skipped. */

export interface HttpHead {
  /** "GET /boot.ipxe HTTP/1.1", "HTTP/1.1 206 Partial Content" */
  readonly startLine: string;
  /** Names in lower case. */
  readonly fields: ReadonlyMap<string, string>;
}

const HEAD_END = "\r\n\r\n";
const LAST_CHUNK = "\r\n0\r\n\r\n";
/** Two halves of the sequence space: a smaller distance is "before" (RFC 9293 §3.4). */
const HALF = 0x80000000;

/** One direction of one connection. */
export class HttpHeads {
  private expected: number | undefined;
  private readonly early = new Map<number, Uint8Array>();
  private pending = Buffer.alloc(0);
  private bodyBytes = 0;
  private chunked = false;
  private readonly bodyless: (head: HttpHead) => boolean;

  /** @param bodyless whether no body follows this head although it names a length: the answer to HEAD */
  constructor(bodyless: (head: HttpHead) => boolean) {
    this.bodyless = bodyless;
  }

  /** @returns the heads that this segment completes */
  add(segment: { sequence: number; starts: boolean; payload: Uint8Array }): HttpHead[] {
    if (segment.starts) this.expected = (segment.sequence + 1) >>> 0;
    if (segment.payload.length === 0) return [];
    // A capture that began in the middle of a connection begins with the first segment that it saw.
    this.expected ??= segment.sequence;
    this.early.set(segment.sequence, segment.payload);
    const heads: HttpHead[] = [];
    for (let part = this.takeNext(); part !== undefined; part = this.takeNext())
      heads.push(...this.read(part));
    return heads;
  }

  private takeNext(): Uint8Array | undefined {
    const expected = this.expected ?? 0;
    for (const [sequence, payload] of this.early) {
      const ahead = (expected - sequence) >>> 0;
      if (ahead >= HALF) continue;
      this.early.delete(sequence);
      // All of it was seen before: sent again.
      if (ahead >= payload.length) continue;
      this.expected = (sequence + payload.length) >>> 0;
      return payload.subarray(ahead);
    }
    return undefined;
  }

  private read(part: Uint8Array): HttpHead[] {
    const heads: HttpHead[] = [];
    this.pending = Buffer.concat([this.pending, part]);
    while (this.skipBody()) {
      const end = this.pending.indexOf(HEAD_END);
      if (end < 0) break;
      const head = parseHead(this.pending.toString("latin1", 0, end));
      this.pending = this.pending.subarray(end + HEAD_END.length);
      heads.push(head);
      if (this.bodyless(head)) continue;
      this.bodyBytes = Number(head.fields.get("content-length") ?? 0);
      this.chunked = head.fields.get("transfer-encoding") === "chunked";
    }
    return heads;
  }

  /** @returns whether the body is behind us */
  private skipBody(): boolean {
    if (this.chunked) {
      const end = this.pending.indexOf(LAST_CHUNK);
      if (end < 0) return false;
      this.pending = this.pending.subarray(end + LAST_CHUNK.length);
      this.chunked = false;
    }
    const skipped = Math.min(this.bodyBytes, this.pending.length);
    this.pending = this.pending.subarray(skipped);
    this.bodyBytes -= skipped;
    return this.bodyBytes === 0;
  }
}

function parseHead(text: string): HttpHead {
  const [startLine = "", ...lines] = text.split("\r\n");
  const fields = lines.map(line => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
  });
  return { startLine, fields: new Map(fields) };
}
