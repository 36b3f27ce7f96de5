/** A UDP socket whose packets are awaited one by one. */
import { createSocket } from "node:dgram";
import { once } from "node:events";

export interface Received {
  readonly bytes: Buffer;
  readonly port: number;
}

export interface UdpClient extends AsyncDisposable {
  send(bytes: Uint8Array, port: number): void;
  /** The oldest packet that was not taken yet; waits for one. */
  next(): Promise<Received>;
}

export async function openUdpClient(): Promise<UdpClient> {
  const socket = createSocket("udp4");
  const received: Received[] = [];
  let wake: (() => void) | undefined;
  socket.on("message", (bytes, { port }) => {
    received.push({ bytes, port });
    wake?.();
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return {
    send: (bytes, port) => socket.send(bytes, port, "127.0.0.1"),
    next: async () => {
      for (;;) {
        const packet = received.shift();
        if (packet !== undefined) return packet;
        await new Promise<void>(resolve => {
          wake = resolve;
        });
      }
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(socket, "close");
      socket.close();
      await closed;
    },
  };
}
