/** A UDP socket inside a network namespace, held by a process of its own: a process cannot be in two namespaces. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

export interface RemoteSocket extends AsyncDisposable {
  send(bytes: Uint8Array, address: string, port: number): void;
  /** The oldest datagram that was not taken yet; waits for one. */
  next(): Promise<Uint8Array>;
}

const SOCKET = new URL("udp-socket.mjs", import.meta.url).pathname;

export async function openRemoteSocket(namespace: string, port: number): Promise<RemoteSocket> {
  const child = spawn("ip", ["netns", "exec", namespace, process.execPath, SOCKET, String(port)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const nextLine = async () => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`the socket on port ${port} of ${namespace} has ended`);
    return value;
  };
  await nextLine();
  return {
    send: (bytes, address, to) =>
      void child.stdin.write(`${address} ${to} ${Buffer.from(bytes).toString("hex")}\n`),
    next: async () => new Uint8Array(Buffer.from(await nextLine(), "hex")),
    [Symbol.asyncDispose]: async () => {
      const exited = once(child, "exit");
      child.stdin.end();
      await exited;
    },
  };
}
