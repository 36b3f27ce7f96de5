/**
 * The one error class that people and API clients meet: it says what happened, to what, and what to do next.
 * How a code becomes an HTTP status or an exit code is decided elsewhere (`api/`, `cli/`).
 */

/** Stable names; documented in docs/errors.md. A code never changes its meaning. */
export type ErrorCode =
  | "auth.forbidden"
  | "auth.limited"
  | "auth.missing"
  | "auth.rejected"
  | "boot-files.missing"
  | "bundle.malformed"
  | "bundle.tampered"
  | "bundle.truncated"
  | "config.invalid"
  | "data.locked"
  | "data.unwritable"
  | "disk.failed"
  | "disk.refused"
  | "disk.too-small"
  | "hub.unreachable"
  | "image.denied"
  | "image.downgrade"
  | "image.in-use"
  | "image.release-gap"
  | "image.removed"
  | "image.unknown"
  | "image.wrong-architecture"
  | "input.unreadable"
  | "intent.conflict"
  | "intent.spent"
  | "internal"
  | "key-list.rejected"
  | "key.invalid"
  | "lease-journal.damaged"
  | "machine.unknown"
  | "name.taken"
  | "not-found"
  | "pool.exhausted"
  | "port.forbidden"
  | "port.in-use"
  | "precondition.failed"
  | "registry.failed"
  | "request.invalid"
  | "rollout.conflict"
  | "rollout.refused"
  | "request.too-large"
  | "signature.rejected"
  | "site.not-joined"
  | "site.unknown"
  | "site.unreachable"
  | "storage.damaged"
  | "storage.full"
  | "storage.unreachable"
  | "timed-out"
  | "token.rejected"
  | "tool.missing"
  | "upload.incomplete"
  | "upload.too-many"
  | "upload.unknown"
  | "version.unsupported";

export interface ErrorDetails {
  /** What to do next, one imperative sentence. */
  readonly advice?: string;
  /** Machine-readable facts: names, sizes in bytes, offsets. Never a secret. */
  readonly facts?: Readonly<Record<string, string | number | boolean>>;
  readonly cause?: unknown;
}

export class DrpError extends Error {
  override readonly name = "DrpError";
  readonly code: ErrorCode;
  readonly advice: string | undefined;
  readonly facts: Readonly<Record<string, string | number | boolean>>;

  /** @param message what happened and to what, without repeating the cause's words */
  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.advice = details.advice;
    this.facts = details.facts ?? {};
  }
}

/** Bytes that break a format's rules. The message names the field and the offset in bytes. */
export class DecodeError extends Error {
  override readonly name = "DecodeError";
}

/** "outer: cause: deeper cause", for one log line. */
export function describeErrorChain(error: unknown): string {
  const messages: string[] = [];
  for (let link: unknown = error; link !== undefined && messages.length < 8; ) {
    messages.push(link instanceof Error ? link.message : String(link));
    link = link instanceof Error ? link.cause : undefined;
  }
  return messages.join(": ");
}
