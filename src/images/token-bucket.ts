/** Spreads bytes over time: what may pass now, and otherwise how long to wait. The clock comes in as data. */
import type { EpochMs } from "../core/time.ts";

export interface TokenBucket {
  /** Bytes that may pass; below zero where more came than was asked for. */
  readonly tokens: number;
  readonly at: EpochMs;
}

export type BucketAnswer =
  | { readonly kind: "pass"; readonly bucket: TokenBucket }
  | { readonly kind: "wait"; readonly bucket: TokenBucket; readonly waitMs: number };

/**
 * @param bytes at most a second's worth or they never pass at once: a line that was idle owes no burst
 * @param bytesPerSecond now; it may be another one at each call
 */
export function takeTokens(
  bucket: TokenBucket,
  bytes: number,
  bytesPerSecond: number,
  now: EpochMs,
): BucketAnswer {
  // A clock that was put back gives nothing, and goes on from where it is.
  const elapsedMs = Math.max(0, now - bucket.at);
  const room = Math.max(bytesPerSecond, bytes);
  const tokens = Math.min(room, bucket.tokens + (elapsedMs * bytesPerSecond) / 1000);
  if (tokens >= bytes) return { kind: "pass", bucket: { tokens: tokens - bytes, at: now } };
  const waitMs = Math.ceil(((bytes - tokens) * 1000) / bytesPerSecond);
  return { kind: "wait", bucket: { tokens, at: now }, waitMs };
}
