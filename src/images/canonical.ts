/** The one text of a JSON value (RFC 8785), so that a signature and a digest do not depend on who wrote the JSON. */
import canonicalize from "canonicalize";

/**
 * Keys sorted by UTF-16 code units, no blanks, numbers as ECMAScript prints them.
 *
 * @throws {TypeError} for a value that JSON cannot hold (a function, undefined)
 */
export function canonicalText(value: unknown): string {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError(`JSON cannot hold a ${typeof value}`);
  return text;
}
