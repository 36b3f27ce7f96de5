/** How a GET or HEAD for a file is answered: whole, in part, or not again (RFC 9110 §13 and §14). Knows no file. */
import { parseRange } from "./http-range.ts";

export type FileAnswer =
  /** 304: the client has it. */
  | { readonly kind: "not-modified" }
  /** 412: the client wants another version than ours. */
  | { readonly kind: "precondition-failed" }
  /** 416 */
  | { readonly kind: "unsatisfiable" }
  /** 200. */
  | { readonly kind: "whole" }
  /** 206; both ends belong to it. */
  | { readonly kind: "part"; readonly first: number; readonly last: number };

export interface FileRequest {
  readonly method: string;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/**
 * In the order of RFC 9110 §13.2.2. We send no Last-Modified (a boot file that is put back is older and still another), so
 * conditions on dates are passed over, and an If-Range with a date never holds.
 *
 * @param etag strong, with its quotes
 */
export function decideFileAnswer(request: FileRequest, sizeBytes: number, etag: string): FileAnswer {
  const { method } = request;
  const field = (name: string) => request.headers[name]?.toString();
  const ifMatch = field("if-match");
  if (ifMatch !== undefined && !listsTag(ifMatch, etag)) return { kind: "precondition-failed" };
  const ifNoneMatch = field("if-none-match");
  // If-None-Match compares weakly (§13.1.2): W/"x" is "x" too.
  if (ifNoneMatch !== undefined && listsTag(ifNoneMatch.replaceAll("W/", ""), etag)) {
    return { kind: "not-modified" };
  }
  // A range is defined for GET alone (§14.2).
  const ifRange = field("if-range");
  const rangeCounts = method === "GET" && (ifRange === undefined || ifRange.trim() === etag);
  return parseRange(rangeCounts ? field("range") : undefined, sizeBytes);
}

function listsTag(list: string, etag: string): boolean {
  return list.split(",").some(entry => entry.trim() === "*" || entry.trim() === etag);
}
