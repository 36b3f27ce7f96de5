/** Clients that do everything right, on sockets of their own: while packets rain on the server they must go on being served. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";

/** Clients wait 4 s and more (RFC 2131 §4.1); a server that is only busy answers in far less. */
const ANSWER_WITHIN_MS = 4000;
/** Then a client gives up. */
const MAX_TRIES = 3;
const BLOCK_BYTES = 1428;
const SERVER_PORT = { dhcp: 67, tftp: 69 };

interface Packet {
  readonly bytes: Buffer;
  readonly port: number;
}

/** What good clients had to put up with. */
export interface Patience {
  /** Questions that were asked again, as their first answer did not come in time. */
  retries: number;
  slowestMs: number;
}

/** A socket that asks until the answer comes that it waits for; every other packet is dropped. */
export class Asker implements AsyncDisposable {
  private readonly socket: Socket;
  private readonly server: string;
  private readonly patience: Patience;
  private hear: (packet: Packet) => void = () => {};

  private constructor(socket: Socket, server: string, patience: Patience) {
    this.socket = socket;
    this.server = server;
    this.patience = patience;
    socket.on("message", (bytes, { port }) => this.hear({ bytes, port }));
    // "Connection refused" of an unconnected socket is not told; anything else shows as silence.
    socket.on("error", () => {});
  }

  /** @param address "0.0.0.0" for a socket that must hear broadcasts */
  static async open(server: string, address: string, port: number, patience: Patience): Promise<Asker> {
    const socket = createSocket({ type: "udp4", recvBufferSize: 1024 * 1024 });
    socket.bind(port, address);
    await once(socket, "listening");
    return new Asker(socket, server, patience);
  }

  /** @throws {Error} saying what went unanswered */
  async ask(
    question: Buffer,
    port: number,
    isAnswer: (packet: Packet) => boolean,
    what: string,
  ): Promise<Packet> {
    const heard = Promise.withResolvers<Packet>();
    this.hear = packet => {
      if (isAnswer(packet)) heard.resolve(packet);
    };
    const askedAt = performance.now();
    for (let tries = 1; ; tries++) {
      await this.send(question, port);
      const answer = await withinTime(heard.promise);
      if (answer !== undefined) {
        this.patience.slowestMs = Math.max(this.patience.slowestMs, performance.now() - askedAt);
        return answer;
      }
      if (tries === MAX_TRIES) throw new Error(`${what} was not answered, ${MAX_TRIES} times`);
      this.patience.retries++;
    }
  }

  /** @returns when it has left: a socket that is closed before takes it along */
  async send(bytes: Buffer, port: number): Promise<void> {
    await new Promise(resolve => this.socket.send(bytes, port, this.server, resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.socket, "close");
    this.socket.close();
    await closed;
  }
}

async function withinTime(answer: Promise<Packet>): Promise<Packet | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>(resolve => {
    timer = setTimeout(resolve, ANSWER_WITHIN_MS, undefined);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

const TYPE = { discover: 1, offer: 2, request: 3, ack: 5 };
const GOOD_MAC = [2, 0xaa, 0, 0, 0, 1];

/** Takes an address and keeps asking for it; on port 68, as broadcasts go there. */
export class GoodDhcpClient {
  private readonly asker: Asker;
  private xid = 0x900d0000;
  private address: number | undefined;

  constructor(asker: Asker) {
    this.asker = asker;
  }

  /** DISCOVER to OFFER. @returns the address that is offered; @throws {Error} when it is another one than before */
  async discover(): Promise<number> {
    const offer = await this.exchange(TYPE.discover, TYPE.offer, []);
    const address = offer.readUInt32BE(16);
    if (this.address !== undefined && address !== this.address) {
      throw new Error(`the good DHCP client was offered ${address}, and holds ${this.address}`);
    }
    return address;
  }

  /** All four messages. */
  async lease(): Promise<void> {
    const offered = await this.discover();
    const wanted = Buffer.alloc(4);
    wanted.writeUInt32BE(offered);
    await this.exchange(TYPE.request, TYPE.ack, [50, 4, ...wanted, 54, 4, 10, 77, 0, 1]);
    this.address = offered;
  }

  private async exchange(type: number, answerType: number, options: number[]): Promise<Buffer> {
    const xid = ++this.xid;
    const message = encodeGoodMessage(type, xid, options);
    const isAnswer = ({ bytes }: Packet) =>
      bytes.length > 240 && bytes.readUInt32BE(4) === xid && messageType(bytes) === answerType;
    const what = type === TYPE.discover ? "the good client's DISCOVER" : "the good client's REQUEST";
    return (await this.asker.ask(message, SERVER_PORT.dhcp, isAnswer, what)).bytes;
  }
}

/** Asks a ProxyDHCP server on 4011 for its boot file, as UEFI firmware does. @throws {Error} when it is not `file` */
export async function askProxy(asker: Asker, port: number, xid: number, file: string): Promise<void> {
  const pxe = [
    60,
    9,
    ...Buffer.from("PXEClient"),
    93,
    2,
    0,
    7,
    94,
    3,
    1,
    3,
    16,
    97,
    17,
    ...new Uint8Array(17),
  ];
  const message = encodeGoodMessage(TYPE.request, xid, pxe);
  const isAnswer = ({ bytes }: Packet) => bytes.length > 240 && bytes.readUInt32BE(4) === xid;
  const { bytes } = await asker.ask(message, port, isAnswer, "the good PXE client's request");
  const told = bytes.toString("latin1", 108, 236).replace(/\0.*$/s, "");
  if (told !== file) throw new Error(`the good PXE client was told ${JSON.stringify(told)}, not ${file}`);
}

function encodeGoodMessage(type: number, xid: number, options: readonly number[]): Buffer {
  const message = Buffer.alloc(300);
  message.set([1, 1, 6]);
  message.writeUInt32BE(xid, 4);
  message.writeUInt16BE(0x8000, 10);
  message.set(GOOD_MAC, 28);
  message.writeUInt32BE(0x63825363, 236);
  message.set([53, 1, type, ...options, 255], 240);
  return message;
}

/** Of a server's reply, which puts it first or behind other options. */
function messageType(bytes: Buffer): number | undefined {
  for (let at = 240; at < bytes.length && bytes[at] !== 255; at += 2 + (bytes[at + 1] ?? 0)) {
    if (bytes[at] === 53) return bytes[at + 2];
  }
  return undefined;
}

/** A transfer in lock-step that goes on block by block, when it is told to. */
export class GoodTransfer {
  private readonly asker: Asker;
  private readonly file: Buffer;
  private block = 1;
  /** The server's, of this transfer. */
  readonly port: number;

  private constructor(asker: Asker, file: Buffer, port: number) {
    this.asker = asker;
    this.file = file;
    this.port = port;
  }

  get currentBlock(): number {
    return this.block;
  }

  get done(): boolean {
    return this.block * BLOCK_BYTES > this.file.length;
  }

  /** Asks for a file, and for its first block. @param file what it must be */
  static async begin(asker: Asker, name: string, file: Buffer): Promise<GoodTransfer> {
    const request = Buffer.from(`\0\u0001${name}\0octet\0blksize\0${BLOCK_BYTES}\0`);
    const isAnswer = ({ bytes }: Packet) => bytes[1] === 6 || bytes[1] === 5;
    const { bytes, port } = await asker.ask(request, SERVER_PORT.tftp, isAnswer, `the good RRQ of ${name}`);
    if (bytes[1] === 5) throw new Error(`the good RRQ of ${name} was refused: ${bytes.toString("utf8", 4)}`);
    const transfer = new GoodTransfer(asker, file, port);
    await transfer.acknowledge(0, 1);
    return transfer;
  }

  /** Acknowledges a block and checks the next one. @throws {Error} when that is not the file's */
  async next(): Promise<void> {
    await this.acknowledge(this.block, this.block + 1);
    this.block++;
  }

  /** Acknowledges the last block, to which no answer comes. */
  async end(): Promise<void> {
    await this.asker.send(Buffer.of(0, 4, this.block >> 8, this.block & 0xff), this.port);
  }

  private async acknowledge(block: number, wanted: number): Promise<void> {
    const isAnswer = ({ bytes, port }: Packet) =>
      port === this.port && bytes[1] === 3 && bytes.readUInt16BE(2) === wanted;
    const what = `the acknowledgement of block ${block}`;
    const { bytes } = await this.asker.ask(
      Buffer.of(0, 4, block >> 8, block & 0xff),
      this.port,
      isAnswer,
      what,
    );
    const expected = this.file.subarray((wanted - 1) * BLOCK_BYTES, wanted * BLOCK_BYTES);
    if (!bytes.subarray(4).equals(expected))
      throw new Error(`block ${wanted} of a good transfer is not the file's`);
  }
}

/** @throws {Error} when it does not come whole and right */
export async function fetchFile(asker: Asker, name: string, file: Buffer): Promise<void> {
  const transfer = await GoodTransfer.begin(asker, name, file);
  while (!transfer.done) await transfer.next();
  await transfer.end();
}
