/** Brings files from the hub in ranges that the meter grants, and goes on after a cut where it was, as long as it takes. */
import { setTimeout as delay } from "node:timers/promises";
import { DrpError } from "../../../core/errors.ts";
import { retryDelayMs } from "../../machine/backoff.ts";
import type { HubClient } from "./hub-client.ts";
import type { LineHold, WanMeter } from "./wan-meter.ts";

export interface DownloadRequest {
  /** "/chunks/HEX" */
  readonly path: string;
  /** The first byte, and the one after the last; Infinity: to the file's end. */
  readonly start: number;
  readonly end: number;
  readonly signal: AbortSignal;
  /** Told of bytes as they cross, for whoever counts them. */
  readonly onBytes: (count: number) => void;
  /** Told of each failure that is tried again. */
  readonly onTrouble: (error: unknown) => void;
  readonly onHold: (hold: LineHold) => void;
}

export class HubDownloads {
  readonly #hub: Pick<HubClient, "readRange">;
  readonly #meter: WanMeter;
  readonly #random: () => number;

  constructor(hub: Pick<HubClient, "readRange">, meter: WanMeter, random: () => number) {
    this.#hub = hub;
    this.#meter = meter;
    this.#random = random;
  }

  /**
   * @returns the file's bytes; at most a grant of them (4 MiB) is in memory
   * @throws {DrpError} not-found, auth.rejected …: what the hub refuses; and when the signal is aborted
   */
  async *read(request: DownloadRequest): AsyncGenerator<Buffer, void, void> {
    const { path, signal } = request;
    let at = request.start;
    let failures = 0;
    for (let { end } = request; at < end; ) {
      const pieces: Buffer[] = [];
      const grant = await this.#meter.grant(end - at, signal, request.onHold);
      let came = 0;
      try {
        const totalBytes = await this.#hub.readRange({
          path,
          fromBytes: at,
          maxBytes: grant.bytes,
          signal,
          onPiece: piece => {
            came += piece.length;
            request.onBytes(piece.length);
            pieces.push(piece);
            return this.#meter.stillHolds(grant);
          },
        });
        if (came === 0) throw withoutBytes(path);
        end = Math.min(end, totalBytes);
        failures = 0;
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof DrpError) || error.code !== "hub.unreachable") throw error;
        failures = came > 0 ? 1 : failures + 1;
        request.onTrouble(error);
      } finally {
        this.#meter.giveBack(Math.max(0, grant.bytes - came));
      }
      at += came;
      yield* pieces;
      if (failures > 0) await delay(retryDelayMs(failures, this.#random()), undefined, { signal });
    }
  }
}

/** As good as no answer: a hub, or what stands before it, that is not well. */
function withoutBytes(path: string): DrpError {
  return new DrpError("hub.unreachable", `the hub answers for ${path}, but without a byte of it`, {
    advice: "Check the hub, and any proxy before it; the site goes on by itself and tries again.",
  });
}
