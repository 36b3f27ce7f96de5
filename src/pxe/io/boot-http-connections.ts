/** The open connections of the boot HTTP server: who holds how many, and one request of each at a time. */
import type { Socket } from "node:net";
import { decideAdmission } from "../http-admission.ts";

/** Boot loaders wait for each answer; the most that a client is known to send ahead is ten (apt). */
const MAX_PIPELINED = 16;

interface Connection {
  readonly address: string;
  /** Requests that are being answered, or wait for the one before. */
  requests: number;
  lastAnswer: Promise<void>;
}

/** A newcomer that found no room but took another's, or none. */
export interface Crowding {
  readonly newcomer: string;
  /** Whose connection was closed; null: the newcomer's own. */
  readonly displaced: string | null;
}

export class BootHttpConnections {
  readonly #most: number;
  readonly #open = new Map<Socket, Connection>();
  readonly #held = new Map<string, number>();

  constructor(most: number) {
    this.#most = most;
  }

  get count(): number {
    return this.#open.size;
  }

  /** @returns what had to give way, if there was no room */
  admit(socket: Socket): Crowding | undefined {
    const address = socket.remoteAddress ?? "";
    const admission = decideAdmission(address, this.#held, this.#open.size, this.#most);
    if (admission.kind === "refuse") {
      socket.destroy();
      return { newcomer: address, displaced: null };
    }
    const displaced = admission.kind === "displace" ? admission.address : undefined;
    if (displaced !== undefined) this.#close(displaced);
    this.#open.set(socket, { address, requests: 0, lastAnswer: Promise.resolve() });
    this.#held.set(address, (this.#held.get(address) ?? 0) + 1);
    socket.once("close", () => this.#forget(socket));
    return displaced === undefined ? undefined : { newcomer: address, displaced };
  }

  isAnswering(socket: Socket): boolean {
    return (this.#open.get(socket)?.requests ?? 0) > 0;
  }

  /**
   * Pipelined requests (RFC 9112 §9.3.2) are answered one after the other, so that a connection never holds more than one
   * transfer's memory.
   *
   * @param answer never rejects
   */
  inTurn(socket: Socket, answer: () => Promise<void>): void {
    const connection = this.#open.get(socket);
    if (connection === undefined) return;
    if (connection.requests === MAX_PIPELINED) {
      socket.destroy();
      return;
    }
    connection.requests++;
    connection.lastAnswer = connection.lastAnswer.then(answer).then(() => {
      connection.requests--;
    });
  }

  /** One that waits for nothing if there is one, else the newest: the others are further. */
  #close(address: string): void {
    let chosen: Socket | undefined;
    for (const [socket, connection] of this.#open) {
      if (connection.address !== address) continue;
      chosen = socket;
      if (connection.requests === 0) break;
    }
    if (chosen === undefined) return;
    this.#forget(chosen);
    chosen.destroy();
  }

  #forget(socket: Socket): void {
    const connection = this.#open.get(socket);
    if (connection === undefined) return;
    this.#open.delete(socket);
    const others = (this.#held.get(connection.address) ?? 1) - 1;
    if (others === 0) this.#held.delete(connection.address);
    else this.#held.set(connection.address, others);
  }
}
