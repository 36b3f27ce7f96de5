/**
 * A read-only TFTP server over a fixed set of names: a name is looked up, never turned into a path, so there is no way out
 * of it. Hears requests, bounds who may begin, and lets each transfer run in a session of its own.
 */
import type { RemoteInfo, Socket } from "node:dgram";
import { describeErrorChain } from "../../core/errors.ts";
import type { BootEvent } from "../../dhcp/boot-event.ts";
import { MAX_WAITING_UNICASTS } from "../../dhcp/io/dhcp-sockets.ts";
import { bindUdp, closeUdp } from "../../dhcp/io/udp.ts";
import type { TftpFile } from "../boot-desk.ts";
import { admitTransfer } from "../tftp-admission.ts";
import type { TftpEventKind, TftpFacts } from "../tftp-event.ts";
import { encodeTftpError, TFTP_ERROR, type TftpRequest, tryDecodeTftp } from "../tftp-packet.ts";
import { decideTftpRequest, judgeRepeatedRequest } from "../tftp-request.ts";
import { blockBytesInFrame } from "../tftp-terms.ts";
import { FileCache } from "./tftp-file-cache.ts";
import { readMtu } from "./tftp-mtu.ts";
import { type SessionPlace, TftpSession } from "./tftp-session.ts";

export interface TftpServerOptions {
  /** Of one interface: transfers answer from it, in blocks that its frames hold. */
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  /** Asked once for each transfer. @param name with slashes, none in front */
  readonly findFile: (name: string, remoteAddress: string) => Promise<TftpFile | undefined>;
  readonly onEvent: (remoteAddress: string, event: BootEvent) => void;
}

export interface TftpServer {
  readonly port: number;
  /** Running transfers are broken off, and their clients told. */
  close(): Promise<void>;
}

/** One timer for all transfers: a fifth of the shortest wait. */
const LISTEN_FOR_SILENCE_MS = 20;

/** @throws {DrpError} port.in-use, port.forbidden, config.invalid */
export async function startTftpServer(options: TftpServerOptions): Promise<TftpServer> {
  const { address, port } = options;
  const socket = await bindUdp({ address, port, service: "TFTP", portKey: "tftp.port" });
  const listener = new TftpListener(options, socket, blockBytesInFrame(await readMtu(address)));
  return { port: socket.address().port, close: () => listener.close() };
}

class TftpListener {
  private readonly options: TftpServerOptions;
  private readonly socket: Socket;
  private readonly place: SessionPlace;
  /** By client address and port: a repeated request finds its transfer. */
  private readonly sessions = new Map<string, TftpSession>();
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(options: TftpServerOptions, socket: Socket, maxBlockBytes: number) {
    this.options = options;
    this.socket = socket;
    this.place = {
      address: options.address,
      maxBlockBytes,
      findFile: options.findFile,
      files: new FileCache(),
      refuse: (to, code, message) => this.refuse(to, code, message),
      onEnd: session => this.forget(session),
      report: (remoteAddress, kind, summary, facts) => this.report(remoteAddress, kind, summary, facts),
    };
    socket.on("message", (bytes, from) => this.receive(bytes, from));
    socket.on("error", error => this.report("", "failed", describeErrorChain(error), {}));
  }

  async close(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    await closeUdp(this.socket);
    await Promise.all([...this.sessions.values()].map(session => session.stop("the server stops")));
  }

  private receive(bytes: Uint8Array, from: RemoteInfo): void {
    const decision = decideTftpRequest(tryDecodeTftp(bytes), from.port);
    switch (decision.kind) {
      case "ignore":
        return;
      case "refuse":
        this.report(from.address, "refused", decision.message, { file: decision.name });
        this.refuse(from, decision.code, decision.message);
        return;
      case "look-up":
        this.hear(decision.name, decision.request, from);
        return;
    }
  }

  private hear(name: string, request: TftpRequest, from: RemoteInfo): void {
    const key = `${from.address}:${from.port}`;
    const running = this.sessions.get(key);
    const nowMs = performance.now();
    if (running !== undefined) {
      if (judgeRepeatedRequest(running, request, nowMs - running.progressAtMs) === "same") {
        running.hearAgain();
        return;
      }
      void running.stop("the client asked anew");
    }
    if (!this.makeRoom(name, from, nowMs)) return;
    const session = new TftpSession(this.place, from, name, request);
    this.sessions.set(key, session);
    this.timer ??= setInterval(() => this.hearSilence(), LISTEN_FOR_SILENCE_MS);
    void session.start();
  }

  private makeRoom(name: string, from: RemoteInfo, nowMs: number): boolean {
    const admission = admitTransfer(this.sessions.values(), from.address, nowMs);
    switch (admission.kind) {
      case "admit":
        return true;
      case "replace":
        void admission.slot.stop(admission.reason);
        return true;
      case "refuse":
        this.report(from.address, "refused", admission.reason, { file: name });
        if (admission.tell) this.refuse(from, TFTP_ERROR.undefined, "too many transfers at once; try again");
        return false;
    }
  }

  private hearSilence(): void {
    const nowMs = performance.now();
    for (const session of this.sessions.values()) session.hearSilence(nowMs);
    if (this.sessions.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private forget(session: TftpSession): void {
    const key = `${session.client.address}:${session.client.port}`;
    if (this.sessions.get(key) === session) this.sessions.delete(key);
  }

  private refuse(to: RemoteInfo, code: number, message: string): void {
    // Made-up senders answer no ARP: what waits for them must not fill our memory. Who is real asks again.
    if (this.stopped || this.socket.getSendQueueCount() >= MAX_WAITING_UNICASTS) return;
    this.socket.send(encodeTftpError(code, message), to.port, to.address, () => {});
  }

  private report(remoteAddress: string, kind: TftpEventKind, summary: string, facts: TftpFacts): void {
    this.options.onEvent(remoteAddress, { kind: `tftp.${kind}`, summary, facts });
  }
}
