/** How an error reads over HTTP: one table from code to status, and the problem document of RFC 9457. */
import { STATUS_CODES } from "node:http";
import type { z } from "zod";
import { DrpError, type ErrorCode } from "../core/errors.ts";
import type { Problem } from "./wire.ts";

/** Every code, so that a new one cannot be forgotten. Those of the start-up never meet a client; they count as ours. */
export const STATUS_OF: Readonly<Record<ErrorCode, number>> = {
  "auth.forbidden": 403,
  "auth.limited": 429,
  "auth.missing": 401,
  "auth.rejected": 401,
  "boot-files.missing": 503,
  "bundle.malformed": 422,
  "bundle.tampered": 422,
  "bundle.truncated": 422,
  "config.invalid": 500,
  "data.locked": 500,
  "data.unwritable": 500,
  "disk.failed": 500,
  "disk.refused": 409,
  "disk.too-small": 409,
  "hub.unreachable": 503,
  "image.denied": 409,
  "image.downgrade": 409,
  "image.in-use": 409,
  "image.release-gap": 409,
  "image.removed": 409,
  "image.unknown": 404,
  "image.wrong-architecture": 409,
  "input.unreadable": 422,
  "intent.conflict": 409,
  "intent.spent": 409,
  internal: 500,
  "key-list.rejected": 422,
  "key.invalid": 422,
  "lease-journal.damaged": 500,
  "machine.unknown": 404,
  "name.taken": 409,
  "not-found": 404,
  "pool.exhausted": 503,
  "port.forbidden": 500,
  "port.in-use": 500,
  "precondition.failed": 412,
  "registry.failed": 502,
  "request.invalid": 400,
  "request.too-large": 413,
  "rollout.conflict": 409,
  "rollout.refused": 409,
  "signature.rejected": 422,
  "site.not-joined": 409,
  "site.unknown": 404,
  "site.unreachable": 503,
  "storage.damaged": 502,
  "storage.full": 507,
  "storage.unreachable": 503,
  "timed-out": 504,
  "token.rejected": 403,
  "tool.missing": 500,
  "upload.incomplete": 409,
  "upload.too-many": 429,
  "upload.unknown": 404,
  "version.unsupported": 422,
};

/** What a client may read of an error. One that is not ours is a bug: its words stay in the log. */
export function toProblem(error: unknown): Problem {
  const known =
    error instanceof DrpError
      ? error
      : new DrpError("internal", "the hub failed at this request", {
          advice: "Look for this request in the hub's log, and report what you find.",
        });
  const status = STATUS_OF[known.code];
  return {
    type: "about:blank",
    title: STATUS_CODES[status] ?? "Error",
    status,
    code: known.code,
    detail: known.message,
    ...(known.advice === undefined ? {} : { advice: known.advice }),
  };
}

/** More would not help anyone to mend the request. */
const SHOWN_ISSUES = 5;

/** @param where "body" or "query": each issue is named by its path from there */
export function invalidRequest(where: "body" | "query", error: z.ZodError): DrpError {
  const shown = error.issues
    .slice(0, SHOWN_ISSUES)
    .map(issue => `${formatPath(where, issue.path)}: ${issue.message}`);
  return new DrpError("request.invalid", shown.join("; "), {
    advice: "The schema of each request is in /api/v1/openapi.json.",
  });
}

/** "body.macs[0]" */
function formatPath(where: string, path: readonly PropertyKey[]): string {
  return where + path.map(key => (typeof key === "number" ? `[${key}]` : `.${String(key)}`)).join("");
}
