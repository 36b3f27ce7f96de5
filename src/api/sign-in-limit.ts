/** Counts failed sign-ins per address, so that nobody guesses at speed or loads the store with wrong tokens. */
import { DrpError } from "../core/errors.ts";
import type { EpochMs } from "../core/time.ts";

/** A person mistypes a few times; a script with an old token fails for ever. */
const FAILURES_PER_WINDOW = 20;
const WINDOW_MS = 60_000;
/** Addresses that are remembered: 10,000 are about 1 MB. The oldest is forgotten first. */
const MAX_ADDRESSES = 10_000;

interface Failures {
  readonly since: EpochMs;
  count: number;
}

export class SignInLimit {
  readonly #failures = new Map<string, Failures>();

  /** @throws {DrpError} auth.limited after too many failures from this address */
  requireAllowed(address: string, now: EpochMs): void {
    const failures = this.#current(address, now);
    if (failures === undefined || failures.count < FAILURES_PER_WINDOW) return;
    const waitSeconds = Math.ceil((failures.since + WINDOW_MS - now) / 1000);
    throw new DrpError("auth.limited", `too many failed sign-ins from ${address}`, {
      advice: `Try again in ${waitSeconds} s, with a token that is valid.`,
      facts: { waitSeconds },
    });
  }

  recordFailure(address: string, now: EpochMs): void {
    const failures = this.#current(address, now);
    if (failures !== undefined) {
      failures.count++;
      return;
    }
    this.#failures.delete(address);
    this.#failures.set(address, { since: now, count: 1 });
    if (this.#failures.size > MAX_ADDRESSES) {
      const [oldest] = this.#failures.keys();
      if (oldest !== undefined) this.#failures.delete(oldest);
    }
  }

  /** A window also ends when the clock was set back. */
  #current(address: string, now: EpochMs): Failures | undefined {
    const failures = this.#failures.get(address);
    if (failures === undefined || now < failures.since || now >= failures.since + WINDOW_MS) return undefined;
    return failures;
  }
}
