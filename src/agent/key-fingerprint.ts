/** How keys are named: machines, sites and the fleet's CA alike. */
import { createHash, type KeyObject } from "node:crypto";

/** SHA-256 of the public key's SPKI form, lower-case hexadecimal. */
export function keyFingerprint(publicKey: KeyObject): string {
  return createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("hex");
}
