/** Secrets of API tokens: made here, kept only as their hash. */
import { createHash } from "node:crypto";
import type { RandomBytes } from "../core/ids.ts";

/** 256 bits, so that a plain SHA-256 keeps it: there is nothing to guess slowly. The prefix lets scanners find leaks. */
export function mintTokenSecret(randomBytes: RandomBytes): string {
  return `drp_${Buffer.from(randomBytes(32)).toString("base64url")}`;
}

/** Lower-case hexadecimal. */
export function hashTokenSecret(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}
