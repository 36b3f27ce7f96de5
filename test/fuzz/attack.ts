/**
 * One attack, run as a process in the clients' namespace: hostile packets in bursts, and after each burst a good client's
 * exchange, which must succeed. The exchange also keeps the pace: the server has read the burst before the next one comes,
 * so that packets are fuzzed into the server and not into a full queue.
 *
 *     node test/fuzz/attack.ts '{"target":"dhcp", …}'       prints a Progress as JSON, a line each, the last one at the end
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { makeDhcpPacket, makeSilentRelayPacket } from "./dhcp-packets.ts";
import { Asker, askProxy, fetchFile, GoodDhcpClient, GoodTransfer, type Patience } from "./good-clients.ts";
import { SeededRandom } from "./random.ts";
import { makeTftpRequest, makeTransferPacket } from "./tftp-packets.ts";

export type Target = "dhcp" | "silent-relays" | "tftp" | "transfer" | "proxy-dhcp";

export interface Attack {
  readonly target: Target;
  readonly packets: number;
  readonly seed: number;
  readonly serverAddress: string;
  /** Of the good clients. */
  readonly goodAddress: string;
  /** Others of this namespace. */
  readonly hostileAddress: string;
  readonly smallFile: string;
  readonly largeFile: string;
  /** What the good PXE client must be told. */
  readonly bootFile: string;
}

export interface Progress extends Readonly<Patience> {
  readonly sent: number;
  /** Of good clients, all of which succeeded. */
  readonly exchanges: number;
}

/** Fits into a receive buffer of the kernel's default size, 208 KiB, at the 768 bytes that a small packet takes there. */
const BURST = 128;
/** A line of progress every so many bursts. */
const REPORT_EVERY = 10;
const PORT = { dhcp: 67, tftp: 69, proxyDhcp: 4011 };
/** How long a hostile client waits for its own transfer to begin. */
const BEGIN_WITHIN_MS = 500;

const attack = JSON.parse(process.argv[2] ?? "") as Attack;
const random = new SeededRandom(attack.seed);
const patience: Patience = { retries: 0, slowestMs: 0 };
let sent = 0;
let exchanges = 0;

const attacks: Record<Target, () => Promise<void>> = {
  dhcp: () => attackDhcp(makeDhcpPacket),
  "silent-relays": () => attackDhcp(makeSilentRelayPacket),
  tftp: attackTftp,
  transfer: attackTransfer,
  "proxy-dhcp": attackProxy,
};
await attacks[attack.target]();
tell();
process.exit(0);

async function attackDhcp(make: (random: SeededRandom) => Buffer): Promise<void> {
  const client = new GoodDhcpClient(await Asker.open(attack.serverAddress, "0.0.0.0", 68, patience));
  await client.lease();
  const hostile = [await hostileSocket(), await hostileSocket(PORT.dhcp)];
  await inBursts(async burst => {
    for (const packet of burst) {
      const socket = random.pick(hostile as [Socket, ...Socket[]]);
      socket.send(packet, PORT.dhcp, random.onceIn(8) ? "255.255.255.255" : attack.serverAddress);
    }
    await (random.onceIn(16) ? client.lease() : client.discover());
  }, make);
}

async function attackTftp(): Promise<void> {
  const file = await readFile(attack.smallFile);
  const hostile = [await hostileSocket(), await hostileSocket(), await hostileSocket()];
  await inBursts(async burst => {
    for (const packet of burst) {
      random.pick(hostile as [Socket, ...Socket[]]).send(packet, PORT.tftp, attack.serverAddress);
    }
    await using asker = await goodAsker();
    await fetchFile(asker, "small.bin", file);
  }, makeTftpRequest);
}

/**
 * Strangers send to the port of a good client's transfer, which must come through whole; and a hostile client sends to its
 * own transfer.
 */
async function attackTransfer(): Promise<void> {
  const file = await readFile(attack.largeFile);
  let asker = await goodAsker();
  const stranger = await hostileSocket();
  const hostile = await hostileSocket();
  let transfer = await GoodTransfer.begin(asker, "large.bin", file);
  await inBursts(
    async burst => {
      const ownPort = await beginHostileTransfer(hostile);
      for (const packet of burst) {
        // An error would end the hostile client's transfer, and the rest of the burst would find it gone.
        const endsIt = packet[0] === 0 && packet[1] === 5;
        if (ownPort === undefined || endsIt || random.onceIn(2)) {
          stranger.send(packet, transfer.port, attack.serverAddress);
        } else hostile.send(packet, ownPort, attack.serverAddress);
      }
      // RFC 1350 §5: an error ends a transfer.
      if (ownPort !== undefined) hostile.send(Buffer.from("\0\u0005\0\0\0"), ownPort, attack.serverAddress);
      if (transfer.done) {
        await transfer.end();
        await asker[Symbol.asyncDispose]();
        asker = await goodAsker();
        transfer = await GoodTransfer.begin(asker, "large.bin", file);
      }
      await transfer.next();
    },
    () => makeTransferPacket(random, random.onceIn(2) ? 1 : transfer.currentBlock),
  );
}

async function attackProxy(): Promise<void> {
  const asker = await goodAsker();
  const hostile = await hostileSocket();
  let xid = 0x900d0000;
  const exchange = () => askProxy(asker, PORT.proxyDhcp, ++xid, attack.bootFile);
  await exchange();
  await inBursts(async burst => {
    for (const packet of burst) hostile.send(packet, PORT.proxyDhcp, attack.serverAddress);
    await exchange();
  }, makeDhcpPacket);
}

async function inBursts(
  strike: (burst: readonly Buffer[]) => Promise<void>,
  make: (random: SeededRandom) => Buffer,
): Promise<void> {
  for (let bursts = 1; sent < attack.packets; bursts++) {
    const count = Math.min(BURST, attack.packets - sent);
    await strike(Array.from({ length: count }, () => make(random)));
    sent += count;
    exchanges++;
    if (bursts % REPORT_EVERY === 0) tell();
  }
}

/** @returns the server's port of a transfer that now waits for this client, or undefined when there is none */
async function beginHostileTransfer(socket: Socket): Promise<number | undefined> {
  const port = new Promise<number | undefined>(resolve => {
    const late = setTimeout(resolve, BEGIN_WITHIN_MS, undefined);
    socket.once("message", (_bytes, from) => {
      clearTimeout(late);
      resolve(from.port);
    });
  });
  socket.send(Buffer.from("\0\u0001large.bin\0octet\0"), PORT.tftp, attack.serverAddress);
  return await port;
}

/** A port of its own for each transfer, as clients have (RFC 1350 §4). */
async function goodAsker(): Promise<Asker> {
  return await Asker.open(attack.serverAddress, attack.goodAddress, 0, patience);
}

async function hostileSocket(port = 0): Promise<Socket> {
  const socket = createSocket("udp4");
  // The answers of a closed port come back as errors of the next packet; that nobody answers shows in the good client.
  socket.on("error", () => {});
  socket.bind(port, attack.hostileAddress);
  await once(socket, "listening");
  socket.setBroadcast(true);
  return socket;
}

function tell(): void {
  const progress: Progress = { sent, exchanges, ...patience };
  process.stdout.write(`${JSON.stringify(progress)}\n`);
}
