/**
 * A bad line for TFTP: relays between clients and a server on loopback, and loses, doubles and delays packets by a seed. A
 * transfer's server port shows as a port of the relay, so that clients and server keep their notions of it.
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";

export interface LossyRelayOptions {
  readonly serverPort: number;
  readonly seed: number;
  /** Of each direction, 0 to 1. */
  readonly lost: number;
  readonly doubled: number;
  /** Each way. */
  readonly delayMs: number;
  /** Added at random: packets overtake each other. */
  readonly jitterMs: number;
}

export interface LossyRelay extends AsyncDisposable {
  readonly port: number;
  /** Packets that were dropped so far. */
  lostPackets(): number;
}

export async function startLossyRelay(options: LossyRelayOptions): Promise<LossyRelay> {
  const random = seeded(options.seed);
  const sockets = new Set<Socket>();
  const timers = new Set<NodeJS.Timeout>();
  const upstreams = new Map<string, (bytes: Buffer) => void>();
  let lost = 0;

  const open = async (): Promise<Socket> => {
    const socket = createSocket({ type: "udp4", recvBufferSize: 1024 * 1024 });
    sockets.add(socket);
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    return socket;
  };
  const travel = (deliver: () => void) => {
    if (random() < options.lost) {
      lost++;
      return;
    }
    const copies = random() < options.doubled ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const timer = setTimeout(
        () => {
          timers.delete(timer);
          deliver();
        },
        options.delayMs + random() * options.jitterMs,
      );
      timers.add(timer);
    }
  };
  /** One client port: a socket towards the server, and one that is the transfer's port to the client. */
  const openPair = async (clientPort: number): Promise<(bytes: Buffer) => void> => {
    const [towardsServer, towardsClient] = await Promise.all([open(), open()]);
    let transferPort = options.serverPort;
    towardsServer.on("message", (bytes, from) => {
      transferPort = from.port;
      travel(() => towardsClient.send(bytes, clientPort, "127.0.0.1"));
    });
    towardsClient.on("message", bytes => travel(() => towardsServer.send(bytes, transferPort, "127.0.0.1")));
    return request => travel(() => towardsServer.send(request, options.serverPort, "127.0.0.1"));
  };

  const door = await open();
  door.on("message", (request, { port }) => {
    const known = upstreams.get(String(port));
    if (known !== undefined) known(request);
    else {
      const early: Buffer[] = [request];
      upstreams.set(String(port), bytes => early.push(bytes));
      void openPair(port).then(send => {
        upstreams.set(String(port), send);
        for (const bytes of early) send(bytes);
      });
    }
  });
  return {
    port: door.address().port,
    lostPackets: () => lost,
    [Symbol.asyncDispose]: async () => {
      for (const timer of timers) clearTimeout(timer);
      for (const socket of sockets) {
        const closed = once(socket, "close");
        socket.close();
        await closed;
      }
    },
  };
}

/** Mulberry32: numbers from 0 to 1, the same for the same seed. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
