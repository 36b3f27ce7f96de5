/**
 * The single-use tokens of boot scripts. A PXE client can prove nothing but where it is: whoever fetches a machine's boot
 * script gets its token. So a token lives minutes, is bound to the MAC address and the order, and works for one key only.
 * Kept in memory: after a restart of the site a machine in the ramdisk registers again by rebooting.
 */
import { createHash } from "node:crypto";
import type { RandomBytes } from "../../core/ids.ts";
import type { MacAddress } from "../../core/mac.ts";
import type { EpochMs } from "../../core/time.ts";

/** Long enough for a slow server's POST of its network cards and the ramdisk's start, short enough to be of little use. */
const TOKEN_LIFETIME_MS = 10 * 60_000;
/** One token per MAC address; a site has tens of machines, a stranger's flood of addresses stops here. */
const MAX_TOKENS = 4096;

export type Redemption =
  | { readonly kind: "redeemed"; readonly intentId: string | null }
  /** The same key again: its first answer was lost on the way. */
  | { readonly kind: "repeated"; readonly intentId: string | null }
  /** Another key: somebody has copied the token. */
  | { readonly kind: "replayed" }
  | { readonly kind: "refused"; readonly reason: string };

interface BootToken {
  readonly hash: string;
  readonly intentId: string | null;
  readonly expiresAt: EpochMs;
  redeemedBy: string | null;
}

export class BootTokens {
  readonly #byMac = new Map<MacAddress, BootToken>();
  readonly #randomBytes: RandomBytes;

  constructor(randomBytes: RandomBytes) {
    this.#randomBytes = randomBytes;
  }

  /** A new token for this address; an older one of the same address ends here. */
  mint(mac: MacAddress, intentId: string | null, now: EpochMs): string {
    const secret = Buffer.from(this.#randomBytes(24)).toString("base64url");
    this.#byMac.delete(mac);
    this.#makeRoom(now);
    this.#byMac.set(mac, {
      hash: hashOf(secret),
      intentId,
      expiresAt: now + TOKEN_LIFETIME_MS,
      redeemedBy: null,
    });
    return secret;
  }

  /** @param keyFingerprint of the machine key that this registration is for */
  redeem(secret: string, mac: MacAddress, keyFingerprint: string, now: EpochMs): Redemption {
    const token = this.#byMac.get(mac);
    if (token === undefined || token.hash !== hashOf(secret)) {
      return { kind: "refused", reason: "this boot token is not the newest one of this MAC address" };
    }
    if (token.redeemedBy !== null) {
      return token.redeemedBy === keyFingerprint
        ? { kind: "repeated", intentId: token.intentId }
        : { kind: "replayed" };
    }
    if (now >= token.expiresAt) return { kind: "refused", reason: "this boot token has expired" };
    token.redeemedBy = keyFingerprint;
    return { kind: "redeemed", intentId: token.intentId };
  }

  #makeRoom(now: EpochMs): void {
    if (this.#byMac.size < MAX_TOKENS) return;
    for (const [mac, token] of this.#byMac) if (now >= token.expiresAt) this.#byMac.delete(mac);
    const oldest = this.#byMac.keys().next();
    if (this.#byMac.size >= MAX_TOKENS && !oldest.done) this.#byMac.delete(oldest.value);
  }
}

function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}
