/**
 * One client's request and the transfer that comes of it, on a socket of its own. Carries out what the pure table of
 * `tftp.ts` says; who may begin is decided elsewhere.
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { describeErrorChain } from "../../core/errors.ts";
import type { TftpFile } from "../boot-desk.ts";
import {
  startTransfer,
  stepTransfer,
  type Transfer,
  type TransferInput,
  type TransferStep,
} from "../tftp.ts";
import type { Slot } from "../tftp-admission.ts";
import {
  describeDone,
  startFacts,
  type TftpEventKind,
  type TftpFacts,
  transferFacts,
} from "../tftp-event.ts";
import {
  encodeDataHeader,
  encodeOptionAck,
  encodeTftpError,
  TFTP_ERROR,
  type TftpRequest,
  tryDecodeTftp,
} from "../tftp-packet.ts";
import { printable } from "../tftp-request.ts";
import { agreeOnTerms } from "../tftp-terms.ts";
import type { FileCache } from "./tftp-file-cache.ts";
import { type BlockSource, openSource } from "./tftp-source.ts";

export interface SessionPlace {
  /** Of one interface: transfers answer from it. */
  readonly address: string;
  readonly maxBlockBytes: number;
  readonly findFile: (name: string, remoteAddress: string) => Promise<TftpFile | undefined>;
  readonly files: FileCache;
  /** From the well-known port: there is no transfer to answer from. */
  readonly refuse: (to: RemoteInfo, code: number, message: string) => void;
  readonly onEnd: (session: TftpSession) => void;
  readonly report: (remoteAddress: string, kind: TftpEventKind, summary: string, facts: TftpFacts) => void;
}

/** A question to the site that answers nothing holds a slot no longer than a transfer that hears nothing. */
const MAX_LOOK_UP_MS = 30_000;
/**
 * A long transfer's socket is connected to its client: each packet then costs a tenth less (no route is looked up).
 * Strangers, who come at the start if at all, are told off by us up to there (RFC 1350 §4), and by the kernel's ICMP after.
 */
const CONNECT_AFTER_BLOCKS = 64;

export class TftpSession implements Slot {
  readonly client: RemoteInfo;
  readonly name: string;
  readonly request: TftpRequest;
  private readonly place: SessionPlace;
  private readonly startedAtMs = performance.now();
  private source: BlockSource | undefined;
  private socket: Socket | undefined;
  private connection: "none" | "begun" | "made" = "none";
  private transfer: Transfer | undefined;
  private ended: Promise<void> | undefined;
  private nextBlock = 1;
  private lastBlock = 0;
  private loading = false;

  constructor(place: SessionPlace, client: RemoteInfo, name: string, request: TftpRequest) {
    this.place = place;
    this.client = client;
    this.name = name;
    this.request = request;
  }

  get address(): string {
    return this.client.address;
  }

  get confirmed(): boolean {
    return this.transfer?.confirmed ?? false;
  }

  get progressAtMs(): number {
    return this.transfer?.progressAtMs ?? this.startedAtMs;
  }

  get hasEnded(): boolean {
    return this.ended !== undefined;
  }

  /** Looks for the file and begins to send it. Never rejects: what goes wrong is told to the client and reported. */
  async start(): Promise<void> {
    try {
      const file = await this.place.findFile(this.name, this.address);
      if (this.hasEnded) return;
      if (file === undefined) return this.miss();
      const source = await openSource(file, this.place.files);
      if (this.hasEnded) return await source.close();
      this.source = source;
      this.socket = await this.openSocket();
      if (this.hasEnded) return;
      this.begin(source);
    } catch (error) {
      if (this.hasEnded) return;
      this.place.refuse(this.client, TFTP_ERROR.undefined, `${printable(this.name)} cannot be read`);
      this.end("failed", `${this.name}: ${describeErrorChain(error)}`);
    }
  }

  /** The client's request came again. */
  hearAgain(): void {
    this.step({ kind: "request" });
  }

  /** To be called every few hundredths of a second. */
  hearSilence(nowMs: number): void {
    if (this.transfer === undefined) {
      if (nowMs - this.startedAtMs >= MAX_LOOK_UP_MS) {
        this.end(
          "failed",
          `${this.name}: it was not found out within ${MAX_LOOK_UP_MS / 1000} s what to send`,
        );
      }
    } else if (nowMs >= this.transfer.deadlineMs) this.step({ kind: "silence" });
  }

  /** @returns when the socket and the file are closed */
  async stop(reason: string): Promise<void> {
    if (this.confirmed && !this.hasEnded) this.sendToClient(encodeTftpError(TFTP_ERROR.undefined, reason));
    this.end("failed", `${this.name}: ${reason}`);
    await this.ended;
  }

  private miss(): void {
    const name = printable(this.name);
    this.place.refuse(this.client, TFTP_ERROR.fileNotFound, `${name} is not served here`);
    this.end("missing", `asked for ${name}, which is not served`);
  }

  private async openSocket(): Promise<Socket> {
    // Addresses only: without it every packet would go through the resolver and the next tick.
    const socket = createSocket({ type: "udp4", lookup: (address, _, done) => done(null, address, 4) });
    this.socket = socket;
    socket.on("message", (bytes, from) => this.receive(bytes, from));
    const listening = once(socket, "listening");
    socket.bind(0, this.place.address);
    await listening;
    // ICMP errors of the path: the transfer's own silence ends it.
    socket.on("error", () => {});
    return socket;
  }

  private begin(source: BlockSource): void {
    const terms = agreeOnTerms(this.request.options, source.sizeBytes, this.place.maxBlockBytes);
    const summary = `${this.name}, ${terms.sizeBytes} bytes`;
    this.place.report(this.address, "start", summary, startFacts(this.name, terms));
    this.follow(startTransfer(terms, performance.now()));
  }

  private receive(bytes: Uint8Array, from: RemoteInfo): void {
    const packet = tryDecodeTftp(bytes);
    if (from.port !== this.client.port || from.address !== this.client.address) {
      if (packet?.kind === "ack") this.tellOff(from);
      return;
    }
    if (packet?.kind === "ack" || packet?.kind === "error") this.step(packet);
    if (this.connection === "none" && (this.transfer?.acknowledged ?? 0) >= CONNECT_AFTER_BLOCKS)
      this.connect();
  }

  /** RFC 1350 §4: a stranger is told, and the transfer goes on undisturbed. An error is never answered. */
  private tellOff(stranger: RemoteInfo): void {
    // A connected socket would send it to the client: this packet had been waiting since before.
    if (stranger.port === 0 || this.connection !== "none") return;
    const error = encodeTftpError(TFTP_ERROR.unknownTransfer, "unknown transfer");
    this.socket?.send(error, stranger.port, stranger.address);
  }

  private connect(): void {
    this.connection = "begun";
    // Where the kernel will not, the socket stays as it was.
    this.socket?.connect(this.client.port, this.client.address, (error?: Error) => {
      if (error === undefined) this.connection = "made";
    });
  }

  private step(input: TransferInput): void {
    if (this.transfer === undefined || this.hasEnded) return;
    this.follow(stepTransfer(this.transfer, input, performance.now()));
  }

  private follow({ transfer, action }: TransferStep): void {
    this.transfer = transfer;
    const { sizeBytes, agreed } = transfer.terms;
    switch (action.kind) {
      case "wait":
        return;
      case "send-option-ack":
        this.sendToClient(encodeOptionAck(agreed));
        return;
      case "send-blocks":
        this.nextBlock = action.first;
        this.lastBlock = action.last;
        this.sendBlocks(transfer);
        return;
      case "done":
        this.end("done", describeDone(this.name, transfer, this.durationMs(), action.lastAckMissing));
        return;
      case "size-told":
        this.end("size", `${this.name}: told its size, ${sizeBytes} bytes`);
        return;
      case "failed":
        this.end("failed", `${this.name}: ${action.reason}`);
        return;
    }
  }

  /** Goes on where it had to wait for the file; what is to be sent may have become another window by then. */
  private sendBlocks(transfer: Transfer): void {
    const { source } = this;
    if (source === undefined || this.loading) return;
    const { blockBytes, sizeBytes } = transfer.terms;
    for (; this.nextBlock <= this.lastBlock; this.nextBlock++) {
      const offset = (this.nextBlock - 1) * blockBytes;
      const length = Math.min(blockBytes, sizeBytes - offset);
      const bytes = source.held(offset, length);
      if (bytes === undefined) {
        void this.load(source, offset, length);
        return;
      }
      this.sendToClient([encodeDataHeader(this.nextBlock), bytes]);
    }
  }

  private async load(source: BlockSource, offset: number, length: number): Promise<void> {
    this.loading = true;
    try {
      await source.load(offset, length);
    } catch (error) {
      if (this.hasEnded) return;
      this.sendToClient(encodeTftpError(TFTP_ERROR.undefined, "the file cannot be read"));
      this.end("failed", `${this.name}: ${describeErrorChain(error)}`);
      return;
    } finally {
      this.loading = false;
    }
    if (this.transfer !== undefined && !this.hasEnded) this.sendBlocks(this.transfer);
  }

  /** Without a callback: a packet that cannot be sent is a lost one, and comes again. */
  private sendToClient(bytes: Uint8Array | readonly Uint8Array[]): void {
    if (this.connection === "made") this.socket?.send(bytes);
    else this.socket?.send(bytes, this.client.port, this.client.address);
  }

  private end(kind: TftpEventKind, summary: string): void {
    if (this.hasEnded) return;
    this.ended = this.close();
    this.place.onEnd(this);
    this.place.report(this.address, kind, summary, this.facts());
  }

  private facts(): TftpFacts {
    if (this.transfer === undefined) return { file: printable(this.name) };
    return transferFacts(this.name, this.transfer, this.durationMs());
  }

  /** Up to the last answer: the silence after it is ours. */
  private durationMs(): number {
    return Math.round(this.progressAtMs - this.startedAtMs);
  }

  private async close(): Promise<void> {
    const { socket, source } = this;
    this.socket = undefined;
    if (socket !== undefined) {
      const closed = once(socket, "close");
      socket.close();
      await closed;
    }
    await source?.close();
  }
}
