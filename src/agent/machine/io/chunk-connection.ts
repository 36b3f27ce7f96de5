/**
 * One connection to the site's boot HTTP, which reads file after file into memory of the caller's. Node's own client gives each
 * 64 KiB in a Buffer of its own, and the garbage of a gigabyte took longer than its hashes.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type AnswerHead, MAX_HEAD_BYTES, parseAnswerHead } from "../http-head.ts";

/** A site on a shop's thin line sends something within this time, or the connection is dead. */
const SILENCE_MS = 20_000;

export interface FileAnswer {
  readonly status: number;
  /** A part of the memory that was given; of a refusal that does not tell its length nothing. */
  readonly body: Buffer;
}

/** A request whose answer is under way. */
interface Exchange {
  readonly memory: Buffer;
  head: AnswerHead | undefined;
  filledBytes: number;
  readonly resolve: (answer: FileAnswer) => void;
  readonly reject: (error: Error) => void;
}

export class ChunkConnection {
  readonly #host: string;
  readonly #head = Buffer.allocUnsafe(MAX_HEAD_BYTES);
  #headFilled = 0;
  #socket: Socket | undefined;
  #exchange: Exchange | undefined;

  private constructor(host: string) {
    this.#host = host;
  }

  /** @throws what Node says of a server that cannot be reached */
  static async open({ hostname, port, host }: URL, signal: AbortSignal): Promise<ChunkConnection> {
    const connection = new ChunkConnection(host);
    const socket = connect({
      // A URL puts an IPv6 address in brackets.
      host: hostname.replace(/^\[(.*)\]$/, "$1"),
      port: Number(port || 80),
      noDelay: true,
      onread: {
        buffer: () => connection.#nextMemory(),
        callback: count => connection.#take(count),
      },
    });
    connection.#socket = socket;
    socket.setTimeout(SILENCE_MS, () =>
      connection.#end(new Error(`nothing came for ${SILENCE_MS / 1000} s`)),
    );
    socket.on("error", error => connection.#end(error));
    socket.on("close", () => connection.#end(new Error("the connection was closed")));
    try {
      await once(socket, "connect", { signal });
    } catch (error) {
      socket.destroy();
      throw error;
    }
    return connection;
  }

  /** Whether it can be asked again. */
  get isOpen(): boolean {
    return this.#socket?.destroyed === false;
  }

  /**
   * @param memory takes the body; a longer one is refused
   * @param signal ends the connection
   */
  async fetch(path: string, memory: Buffer, signal: AbortSignal): Promise<FileAnswer> {
    signal.throwIfAborted();
    const abort = () => this.#end(new Error("nobody wants it any longer"));
    signal.addEventListener("abort", abort);
    try {
      return await new Promise<FileAnswer>((resolve, reject) => {
        this.#exchange = { memory, head: undefined, filledBytes: 0, resolve, reject };
        if (!this.isOpen) return this.#end(new Error("the connection was closed"));
        this.#socket?.write(`GET ${path} HTTP/1.1\r\nhost: ${this.#host}\r\n\r\n`);
      });
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  close(): void {
    this.#end(new Error("the connection was closed"));
  }

  /** Where the next bytes go: the body's own place as soon as that is known. */
  #nextMemory(): Buffer {
    const { head, memory, filledBytes } = this.#exchange ?? {};
    if (head === undefined || memory === undefined) return this.#head.subarray(this.#headFilled);
    return memory.subarray(filledBytes, head.bodyBytes ?? 0);
  }

  /** @returns whether to go on reading */
  #take(count: number): boolean {
    try {
      const exchange = this.#exchange;
      if (exchange === undefined) throw new Error("bytes came that nobody asked for");
      if (exchange.head !== undefined) exchange.filledBytes += count;
      else this.#takeHead(exchange, count);
      this.#settle(exchange);
      return true;
    } catch (error) {
      this.#end(error instanceof Error ? error : new Error(String(error)));
      return false;
    }
  }

  #takeHead(exchange: Exchange, count: number): void {
    this.#headFilled += count;
    const head = parseAnswerHead(this.#head.subarray(0, this.#headFilled));
    if (head === undefined) return;
    if (head.bodyBytes === null && head.status === 200)
      throw new Error("the answer does not tell its length");
    const bodyBytes = head.bodyBytes ?? 0;
    if (bodyBytes > exchange.memory.length) {
      throw new Error(`${bodyBytes} bytes would come, more than ${exchange.memory.length}`);
    }
    exchange.head = head;
    // What came with the head; the rest is read to its place.
    const arrived = head.bodyBytes === null ? 0 : this.#headFilled - head.headBytes;
    if (arrived > bodyBytes) throw new Error(`more than the announced ${bodyBytes} bytes came`);
    this.#head.copy(exchange.memory, 0, head.headBytes, head.headBytes + arrived);
    exchange.filledBytes = arrived;
    this.#headFilled = 0;
  }

  #settle({ head, filledBytes, memory, resolve }: Exchange): void {
    if (head === undefined || filledBytes < (head.bodyBytes ?? 0)) return;
    this.#exchange = undefined;
    if (!head.keepsAlive || head.bodyBytes === null) this.#socket?.destroy();
    resolve({ status: head.status, body: memory.subarray(0, filledBytes) });
  }

  #end(error: Error): void {
    this.#socket?.destroy();
    this.#exchange?.reject(error);
    this.#exchange = undefined;
  }
}
