/**
 * Which bytes of a file a request asks for (RFC 9110 §14): one range. Several are answered with the whole file, as §14.2
 * allows: no boot client asks for several, and a list of overlapping ones is a known way to make a server work (CVE-2011-3192).
 */

export type ByteRange =
  | { readonly kind: "whole" }
  /** Both ends belong to it. */
  | { readonly kind: "part"; readonly first: number; readonly last: number }
  | { readonly kind: "unsatisfiable" };

/** @param header the Range field; undefined or malformed asks for everything. The unit's case does not count (§14.1). */
export function parseRange(header: string | undefined, sizeBytes: number): ByteRange {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(header ?? "");
  const [, from = "", to = ""] = match ?? [];
  if (match === null || (from === "" && to === "")) return { kind: "whole" };
  const first = from === "" ? Math.max(0, sizeBytes - Number(to)) : Number(from);
  const last = from === "" || to === "" ? sizeBytes - 1 : Math.min(Number(to), sizeBytes - 1);
  if (from !== "" && to !== "" && Number(to) < first) return { kind: "whole" };
  return first > last ? { kind: "unsatisfiable" } : { kind: "part", first, last };
}
