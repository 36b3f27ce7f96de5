/** A TFTP client by RFC 1350, 2347, 2348 and 7440 that shares no code with the server: what it gets must be the file. */
import { createSocket, type RemoteInfo } from "node:dgram";
import { once } from "node:events";

export interface TftpFetchOptions {
  readonly host?: string;
  readonly port: number;
  readonly name: string;
  /** 512 asks for nothing. */
  readonly blockBytes?: number;
  /** 1 asks for nothing. */
  readonly windowBlocks?: number;
  /** Silence after which the last packet is sent again. */
  readonly repeatAfterMs?: number;
}

/** More than a lossy line takes away in a row. */
const MAX_REPETITIONS = 30;

/** @throws what the server refuses with, or that it fell silent */
export async function fetchWithTftp(options: TftpFetchOptions): Promise<Buffer> {
  const { host = "127.0.0.1", blockBytes: asked = 512, windowBlocks = 1, repeatAfterMs = 1000 } = options;
  const socket = createSocket({ type: "udp4", recvBufferSize: 1024 * 1024 });
  const blocks: Buffer[] = [];
  const ended = Promise.withResolvers<void>();
  let blockBytes = 512;
  let inWindow = 0;
  let gapTold = false;
  let server: RemoteInfo | undefined;
  let lastSent = encodeRequest(options.name, asked, windowBlocks);
  let repetitions = 0;
  let timer: NodeJS.Timeout | undefined;

  const send = (packet: Buffer) => {
    lastSent = packet;
    socket.send(packet, server?.port ?? options.port, host);
    clearTimeout(timer);
    timer = setTimeout(() => {
      gapTold = false;
      if (++repetitions > MAX_REPETITIONS) ended.reject(new Error(`silence after block ${blocks.length}`));
      else if (blocks.length === 0) send(lastSent);
      else acknowledge();
    }, repeatAfterMs);
  };
  const acknowledge = () => {
    inWindow = 0;
    send(Buffer.of(0, 4, (blocks.length >> 8) & 0xff, blocks.length & 0xff));
  };

  socket.on("message", (packet, from) => {
    server ??= from;
    if (from.port !== server.port) return;
    const opcode = packet.readUInt16BE(0);
    if (opcode === 5) ended.reject(new Error(packet.toString("latin1", 4, packet.length - 1)));
    else if (opcode === 6 && blocks.length === 0) {
      const strings = packet.toString("latin1", 2).split("\0");
      const blksize = strings.indexOf("blksize");
      if (blksize >= 0) blockBytes = Number(strings[blksize + 1]);
      acknowledge();
    } else if (opcode === 3) receiveBlock(packet.readUInt16BE(2), packet.subarray(4));
  });
  const receiveBlock = (wireBlock: number, bytes: Buffer) => {
    if (wireBlock !== ((blocks.length + 1) & 0xffff)) {
      // In a window, what comes after a gap says that something is missing: told once (RFC 7440 §4).
      const ahead = (wireBlock - blocks.length) & 0xffff;
      if (windowBlocks > 1 && ahead > 1 && ahead <= windowBlocks && !gapTold) {
        gapTold = true;
        acknowledge();
      }
      return;
    }
    blocks.push(Buffer.from(bytes));
    gapTold = false;
    repetitions = 0;
    inWindow++;
    const last = bytes.length < blockBytes;
    if (last || inWindow === windowBlocks) acknowledge();
    if (last) ended.resolve();
  };

  try {
    send(lastSent);
    await ended.promise;
    return Buffer.concat(blocks);
  } finally {
    clearTimeout(timer);
    const closed = once(socket, "close");
    socket.close();
    await closed;
  }
}

function encodeRequest(name: string, blockBytes: number, windowBlocks: number): Buffer {
  const strings = [name, "octet"];
  if (blockBytes !== 512) strings.push("blksize", String(blockBytes));
  if (windowBlocks !== 1) strings.push("windowsize", String(windowBlocks));
  return Buffer.from(`\0\x01${strings.join("\0")}\0`, "latin1");
}
