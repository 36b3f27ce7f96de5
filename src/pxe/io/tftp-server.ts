/**
 * A read-only TFTP server over a fixed set of names: a name is looked up, never turned into a path, so there is no way out
 * of it. Each transfer has a socket of its own, bound to the address that was asked.
 */
import type { RemoteInfo, Socket } from "node:dgram";
import { type FileHandle, open } from "node:fs/promises";
import { DecodeError, describeErrorChain } from "../../core/errors.ts";
import type { Clock } from "../../core/time.ts";
import type { BootEvent } from "../../dhcp/boot-event.ts";
import { bindUdp, closeUdp } from "../../dhcp/io/udp.ts";
import type { TftpFile } from "../boot-desk.ts";
import { lastBlock, startTransfer, stepTransfer, type Transfer, type TransferStep } from "../tftp.ts";
import {
  decodeTftp,
  encodeDataHeader,
  encodeOptionAck,
  encodeTftpError,
  TFTP_ERROR,
  type TftpPacket,
} from "../tftp-packet.ts";

export interface TftpServerOptions {
  /** Of one interface: transfers answer from it. */
  readonly address: string;
  readonly port: number;
  /** Asked for each request. @param name without leading slashes */
  readonly findFile: (name: string, remoteAddress: string) => Promise<TftpFile | undefined>;
  readonly clock: Clock;
  readonly onEvent: (remoteAddress: string, event: BootEvent) => void;
}

export interface TftpServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Two file descriptors each; a site has a few machines, a burst of a large one has hundreds. */
const MAX_TRANSFERS = 500;
/** Firmware uses one; a rack behind one address translation a few. */
const MAX_TRANSFERS_PER_CLIENT = 32;
/** One disk read per 180 blocks of full size. */
const READ_AHEAD_BYTES = 256 * 1024;

/** @throws {DrpError} port.in-use, port.forbidden, config.invalid */
export async function startTftpServer(options: TftpServerOptions): Promise<TftpServer> {
  const socket = await bindUdp({
    address: options.address,
    port: options.port,
    service: "TFTP",
    portKey: "tftp.port",
  });
  const server = new TftpListener(options, socket);
  socket.on("message", (bytes, from) => void server.receive(bytes, from));
  socket.on("error", error => server.report("", "failed", describeErrorChain(error)));
  return {
    port: socket.address().port,
    close: async () => {
      await closeUdp(socket);
      await server.stopTransfers();
    },
  };
}

class TftpListener {
  private readonly options: TftpServerOptions;
  private readonly socket: Socket;
  /** By client address and port: a repeated request finds its transfer. */
  private readonly transfers = new Map<string, Promise<TransferEnd | undefined>>();
  private readonly running = new Set<RunningTransfer>();
  private readonly countByClient = new Map<string, number>();
  private stopped = false;

  constructor(options: TftpServerOptions, socket: Socket) {
    this.options = options;
    this.socket = socket;
  }

  async receive(bytes: Uint8Array, from: RemoteInfo): Promise<void> {
    const packet = decodeOrUndefined(bytes);
    if (packet?.kind === "write")
      return this.refuse(from, TFTP_ERROR.accessViolation, "this server is read only");
    // Anything else that is no request is a stranger's or belongs to a transfer that has ended: no answer, no echo.
    if (packet?.kind !== "read") return;
    const client = `${from.address}:${from.port}`;
    if (this.transfers.has(client)) return;
    if (packet.mode !== "octet") {
      return this.refuse(
        from,
        TFTP_ERROR.undefined,
        `mode ${printable(packet.mode)} is not served; ask for octet`,
      );
    }
    const name = packet.fileName.replace(/^\/+/, "");
    const file = await this.options.findFile(name, from.address);
    if (file === undefined) {
      this.report(from.address, "missing", `asked for ${printable(name)}, which is not served`);
      return this.refuse(from, TFTP_ERROR.fileNotFound, `${printable(name)} is not served here`);
    }
    if (!this.hasRoomFor(from.address)) {
      this.report(from.address, "refused", "too many transfers at once");
      return this.refuse(from, TFTP_ERROR.undefined, "too many transfers at once; try again");
    }
    const transfer = this.runTransfer(name, file, packet.options, from);
    this.transfers.set(client, transfer);
    this.count(from.address, 1);
    const end = await transfer;
    this.transfers.delete(client);
    this.count(from.address, -1);
    if (end !== undefined) this.report(from.address, end.kind, end.summary);
  }

  async stopTransfers(): Promise<void> {
    this.stopped = true;
    for (const transfer of this.running) transfer.stop();
    await Promise.all(this.transfers.values());
  }

  report(remoteAddress: string, kind: string, summary: string): void {
    this.options.onEvent(remoteAddress, { kind: `tftp.${kind}`, summary, facts: {} });
  }

  private async runTransfer(
    name: string,
    file: TftpFile,
    options: ReadonlyMap<string, string>,
    from: RemoteInfo,
  ): Promise<TransferEnd | undefined> {
    try {
      await using source = await openSource(file);
      const socket = await bindUdp({ address: this.options.address, port: 0, service: "TFTP" });
      this.report(from.address, "start", `${name}, ${source.sizeBytes} bytes`);
      const transfer = new RunningTransfer(name, source, socket, from, this.options.clock);
      this.running.add(transfer);
      if (this.stopped) transfer.stop();
      try {
        return await transfer.run(options);
      } finally {
        this.running.delete(transfer);
        await closeUdp(socket);
      }
    } catch (error) {
      this.refuse(from, TFTP_ERROR.undefined, `${name} cannot be read`);
      return { kind: "failed", summary: `${name}: ${describeErrorChain(error)}` };
    }
  }

  private hasRoomFor(address: string): boolean {
    const ofClient = this.countByClient.get(address) ?? 0;
    return this.transfers.size < MAX_TRANSFERS && ofClient < MAX_TRANSFERS_PER_CLIENT;
  }

  private count(address: string, difference: number): void {
    const count = (this.countByClient.get(address) ?? 0) + difference;
    if (count === 0) this.countByClient.delete(address);
    else this.countByClient.set(address, count);
  }

  private refuse(to: RemoteInfo, code: number, message: string): void {
    if (!this.stopped) this.socket.send(encodeTftpError(code, message), to.port, to.address, () => {});
  }
}

interface TransferEnd {
  readonly kind: "done" | "size" | "failed";
  readonly summary: string;
}

class RunningTransfer {
  private readonly name: string;
  private readonly source: BlockSource;
  private readonly socket: Socket;
  private readonly client: RemoteInfo;
  private readonly clock: Clock;
  private readonly ended = Promise.withResolvers<TransferEnd>();
  private transfer: Transfer | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(name: string, source: BlockSource, socket: Socket, client: RemoteInfo, clock: Clock) {
    this.name = name;
    this.source = source;
    this.socket = socket;
    this.client = client;
    this.clock = clock;
  }

  async run(options: ReadonlyMap<string, string>): Promise<TransferEnd> {
    const startedAt = this.clock();
    this.socket.on("message", (bytes, from) => this.receive(bytes, from));
    // ICMP errors of the path: the transfer's own silence ends it.
    this.socket.on("error", () => {});
    this.follow(startTransfer(options, this.source.sizeBytes, startedAt));
    const end = await this.ended.promise;
    clearTimeout(this.timer);
    this.transfer = undefined;
    if (end.kind !== "done") return end;
    return { ...end, summary: `${end.summary} in ${this.clock() - startedAt} ms` };
  }

  stop(): void {
    this.end("failed", "the server stops");
  }

  private receive(bytes: Uint8Array, from: RemoteInfo): void {
    if (from.address !== this.client.address || from.port !== this.client.port) {
      // RFC 1350 §4: tell the stranger, and go on undisturbed. An error is never answered.
      if (decodeOrUndefined(bytes)?.kind !== "ack") return;
      this.send(encodeTftpError(TFTP_ERROR.unknownTransfer, "unknown transfer"), from);
      return;
    }
    const packet = decodeOrUndefined(bytes);
    if (packet === undefined || this.transfer === undefined) return;
    if (packet.kind === "ack" || packet.kind === "error") {
      this.follow(stepTransfer(this.transfer, packet, this.clock()));
    }
  }

  private follow({ transfer, action }: TransferStep): void {
    this.transfer = transfer;
    switch (action.kind) {
      case "wait":
        return;
      case "send-option-ack":
        this.send(encodeOptionAck(transfer.options), this.client);
        break;
      case "send-blocks":
        void this.sendBlocks(transfer, action.first, action.last);
        break;
      case "done":
        this.end("done", `${this.source.sizeBytes} bytes`);
        return;
      case "size-told":
        this.end("size", `told its size, ${this.source.sizeBytes} bytes`);
        return;
      case "failed":
        this.end("failed", action.reason);
        return;
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.hearSilence(), transfer.deadline - this.clock());
  }

  private hearSilence(): void {
    if (this.transfer !== undefined) {
      this.follow(stepTransfer(this.transfer, { kind: "silence" }, this.clock()));
    }
  }

  private async sendBlocks(transfer: Transfer, first: number, last: number): Promise<void> {
    try {
      for (let block = first; block <= last; block++) {
        const offset = (block - 1) * transfer.blockBytes;
        const length = block === lastBlock(transfer) ? transfer.sizeBytes - offset : transfer.blockBytes;
        const bytes = this.source.held(offset, length) ?? (await this.source.read(offset, length));
        this.send([encodeDataHeader(block), bytes], this.client);
      }
    } catch (error) {
      this.send(encodeTftpError(TFTP_ERROR.undefined, "the file cannot be read"), this.client);
      this.end("failed", describeErrorChain(error));
    }
  }

  private send(bytes: Uint8Array | readonly Uint8Array[], to: RemoteInfo): void {
    // Nothing is sent after the end: the socket may be closed already.
    if (this.transfer !== undefined) this.socket.send(bytes, to.port, to.address, () => {});
  }

  private end(kind: TransferEnd["kind"], summary: string): void {
    this.transfer = undefined;
    this.ended.resolve({ kind, summary: `${this.name}: ${summary}` });
  }
}

/** A file's bytes with read-ahead, or bytes in memory. */
class BlockSource implements AsyncDisposable {
  readonly sizeBytes: number;
  private readonly file: FileHandle | undefined;
  private piece: Uint8Array;
  private pieceOffset = 0;

  constructor(sizeBytes: number, file: FileHandle | undefined, piece: Uint8Array) {
    this.sizeBytes = sizeBytes;
    this.file = file;
    this.piece = piece;
  }

  /** Undefined when these bytes must be read first. */
  held(offset: number, length: number): Uint8Array | undefined {
    const start = offset - this.pieceOffset;
    if (start < 0 || start + length > this.piece.length) return undefined;
    return this.piece.subarray(start, start + length);
  }

  /** Into fresh memory: packets on their way out still point into the piece before. */
  async read(offset: number, length: number): Promise<Uint8Array> {
    const piece = Buffer.allocUnsafe(Math.max(length, Math.min(READ_AHEAD_BYTES, this.sizeBytes - offset)));
    const { bytesRead } = (await this.file?.read(piece, 0, piece.length, offset)) ?? { bytesRead: 0 };
    if (bytesRead < length) throw new Error(`the file became shorter than ${this.sizeBytes} bytes`);
    this.piece = piece.subarray(0, bytesRead);
    this.pieceOffset = offset;
    return this.piece.subarray(0, length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file?.close();
  }
}

async function openSource(file: TftpFile): Promise<BlockSource> {
  if (file.kind === "content") return new BlockSource(file.bytes.length, undefined, file.bytes);
  const handle = await open(file.path, "r");
  const { size } = await handle.stat();
  return new BlockSource(size, handle, new Uint8Array());
}

function decodeOrUndefined(bytes: Uint8Array): TftpPacket | undefined {
  try {
    return decodeTftp(bytes);
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** A stranger's text, fit for a log line. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 128);
}
