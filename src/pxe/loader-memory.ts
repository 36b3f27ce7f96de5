/**
 * Remembers which machines have fetched iPXE and did not start it. Secure Boot is invisible in DHCP: firmware that rejects a
 * loader fetches all of it first, shows an error to nobody, and comes back as the firmware that it was. Knows no file and no
 * packet, and is told the time.
 */
import type { MacAddress } from "../core/mac.ts";
import type { EpochMs } from "../core/time.ts";

/** A site has tens of machines; a flood of made-up addresses stops here. */
export const MAX_REMEMBERED = 4096;
/** A machine whose Secure Boot was switched off is given iPXE again after this, also when nobody restarts the site. */
export const REMEMBERED_MS = 24 * 60 * 60_000;

interface Fetched {
  readonly file: string;
  readonly at: EpochMs;
  readonly cameBack: boolean;
}

export class LoaderMemory {
  /** In the order of their times. */
  readonly #machines = new Map<MacAddress, Fetched>();

  /** The machine has all of an iPXE loader. */
  fetched(mac: MacAddress, file: string, now: EpochMs): void {
    this.#remember(mac, { file, at: now, cameBack: false });
  }

  /** iPXE itself spoke. */
  started(mac: MacAddress): void {
    this.#machines.delete(mac);
  }

  /** The firmware began anew. */
  cameBack(mac: MacAddress): void {
    const fetched = this.#machines.get(mac);
    if (fetched !== undefined) this.#machines.set(mac, { ...fetched, cameBack: true });
  }

  /** Why the machine is not to be given iPXE, or undefined. */
  rejection(mac: MacAddress, now: EpochMs): string | undefined {
    const fetched = this.#machines.get(mac);
    if (fetched === undefined || !fetched.cameBack || now - fetched.at >= REMEMBERED_MS) return undefined;
    return `it fetched all of ${fetched.file} and did not start it, as firmware with Secure Boot does`;
  }

  #remember(mac: MacAddress, fetched: Fetched): void {
    this.#machines.delete(mac);
    this.#machines.set(mac, fetched);
    const [oldest] = this.#machines.keys();
    if (this.#machines.size > MAX_REMEMBERED && oldest !== undefined) this.#machines.delete(oldest);
  }
}
