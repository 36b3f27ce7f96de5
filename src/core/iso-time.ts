/** Times as documents write them. The one place of pure code that uses Date: both functions look at no clock. */
import type { EpochMs } from "./time.ts";

/** @param text an ISO 8601 date and time with its zone, as zod's `iso.datetime` lets through */
export function parseIsoTime(text: string): EpochMs {
  // eslint-disable-next-line no-restricted-globals -- reads its argument only
  return Date.parse(text);
}

/** "2026-03-01T12:00:00.000Z" */
export function formatIsoTime(at: EpochMs): string {
  // eslint-disable-next-line no-restricted-globals -- reads its argument only
  return new Date(at).toISOString();
}
