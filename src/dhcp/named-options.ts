/** Options as drp.yaml names them, as bytes (RFC 2132 and where noted). Says in words what is wrong with a value. */
import { type Ipv4, parseIpv4, parseIpv4Network } from "../core/ipv4.ts";
import { ipv4Value, OPTION, type OptionEntry, textValue, uint32Value } from "./options.ts";

export type NamedOptionValue = string | number | boolean | readonly string[];

export interface OptionProblem {
  /** "must be …; it is …", for a sentence that begins with the option's place in the file. */
  readonly problem: string;
}

/**
 * @param name "ntpServers", or a code: "224"
 * @returns the option, or what is wrong with it
 */
export function encodeNamedOption(name: string, value: NamedOptionValue): OptionEntry | OptionProblem {
  const named = NAMED.get(name);
  if (named !== undefined) {
    const bytes = named.encode(value);
    return typeof bytes === "string" ? { problem: `${name} ${bytes}` } : withinLimit(name, named.code, bytes);
  }
  if (/^\d{1,3}$/.test(name)) return encodeNumbered(Number(name), value);
  return {
    problem: `there is no DHCP option "${name}"; known are ${[...NAMED.keys()].join(", ")}, and codes as "224"`,
  };
}

/** Bytes, or what the value must be. */
type Encode = (value: NamedOptionValue) => Uint8Array | string;

/** More than this fits into no message that every client takes (RFC 2131 §2: 576 bytes with headers). */
const MAX_VALUE_BYTES = 255;

const NAMED: ReadonlyMap<string, { readonly code: number; readonly encode: Encode }> = new Map([
  ["timeOffset", { code: 2, encode: encodeTimeOffset }],
  ["logServers", { code: 7, encode: encodeAddresses }],
  ["domainName", { code: 15, encode: encodeDomainName }],
  ["rootPath", { code: 17, encode: encodeText }],
  ["mtu", { code: 26, encode: encodeMtu }],
  ["broadcastAddress", { code: 28, encode: encodeAddress }],
  ["ntpServers", { code: 42, encode: encodeAddresses }],
  ["vendorSpecific", { code: 43, encode: encodeBytes }],
  ["tftpServerName", { code: 66, encode: encodeText }],
  ["domainSearch", { code: 119, encode: encodeDomainSearch }],
  ["staticRoutes", { code: 121, encode: encodeStaticRoutes }],
]);

/** Codes that no configuration may set, with who sets them. */
const REFUSED: ReadonlyMap<number, string> = new Map([
  [OPTION.subnetMask, "it follows from the subnet's network"],
  [OPTION.router, 'write it as the subnet\'s "router"'],
  [OPTION.hostname, 'write it as the reservation\'s "hostname"'],
  ...[50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 61].map(
    code => [code, "the DHCP server decides it for each answer"] as const,
  ),
  [OPTION.bootFile, "the boot server decides it for each machine"],
  [OPTION.userClass, "clients send it"],
  [OPTION.relayAgent, "relays send it"],
  [OPTION.clientArchitecture, "clients send it"],
  [94, "clients send it"],
  [OPTION.clientUuid, "clients send it"],
  [OPTION.subnetSelection, "clients send it"],
  [OPTION.ipxe, "the boot server decides it for each machine"],
]);

function encodeNumbered(code: number, value: NamedOptionValue): OptionEntry | OptionProblem {
  if (code < 1 || code > 254) return { problem: `option ${code} does not exist; codes are 1 to 254` };
  const refused = REFUSED.get(code);
  if (refused !== undefined) return { problem: `option ${code} cannot be set: ${refused}` };
  const bytes = encodeBytes(value);
  return typeof bytes === "string"
    ? { problem: `option ${code} ${bytes}` }
    : withinLimit(`option ${code}`, code, bytes);
}

function withinLimit(name: string, code: number, bytes: Uint8Array): OptionEntry | OptionProblem {
  if (bytes.length <= MAX_VALUE_BYTES) return [code, bytes];
  return { problem: `${name} has ${bytes.length} bytes; at most ${MAX_VALUE_BYTES} fit` };
}

function encodeText(value: NamedOptionValue): Uint8Array | string {
  // Control characters are never meant, and would be read as the end by many clients.
  const isText = typeof value === "string" && /^[^\p{Cc}]+$/u.test(value);
  return isText ? textValue(value) : "must be a text of at least one character, without control characters";
}

/** "hex:0a0b" or "text:..." */
function encodeBytes(value: NamedOptionValue): Uint8Array | string {
  if (typeof value === "string") {
    if (/^hex:([0-9a-f]{2})+$/i.test(value)) return Buffer.from(value.slice(4), "hex");
    if (value.startsWith("text:")) return encodeText(value.slice(5));
  }
  return 'must be bytes as "hex:0a0b" or a text as "text:…"';
}

function encodeAddress(value: NamedOptionValue): Uint8Array | string {
  const address = typeof value === "string" ? parseIpv4(value) : undefined;
  return address === undefined ? "must be an IPv4 address" : ipv4Value(address);
}

function encodeAddresses(value: NamedOptionValue): Uint8Array | string {
  const texts = typeof value === "string" ? [value] : value;
  const addresses = Array.isArray(texts) ? texts.flatMap((text: string) => parseIpv4(text) ?? []) : [];
  const all = Array.isArray(texts) && texts.length > 0 && addresses.length === texts.length;
  return all ? ipv4Value(...addresses) : "must be one or more IPv4 addresses";
}

/** RFC 2132 §3.4: seconds east of UTC. */
function encodeTimeOffset(value: NamedOptionValue): Uint8Array | string {
  const MOST_SECONDS = 14 * 3600;
  if (typeof value !== "number" || !Number.isInteger(value) || Math.abs(value) > MOST_SECONDS) {
    return `must be the seconds east of UTC, -${MOST_SECONDS} to ${MOST_SECONDS}`;
  }
  return uint32Value(value >>> 0);
}

/** RFC 2132 §5.1: 68 is the least that IPv4 allows. */
function encodeMtu(value: NamedOptionValue): Uint8Array | string {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 68 || value > 65535) {
    return "must be a number of bytes, 68 to 65535";
  }
  return Uint8Array.of(value >> 8, value & 255);
}

const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i;

function isDomain(text: string): boolean {
  return text.length <= 253 && text.split(".").every(label => LABEL.test(label));
}

function encodeDomainName(value: NamedOptionValue): Uint8Array | string {
  return typeof value === "string" && isDomain(value)
    ? textValue(value)
    : 'must be a domain name, as "example.org"';
}

/** RFC 3397, without compression: every client reads that. */
function encodeDomainSearch(value: NamedOptionValue): Uint8Array | string {
  const names = typeof value === "string" ? [value] : value;
  if (!Array.isArray(names) || names.length === 0 || !names.every(isDomain)) {
    return 'must be one or more domain names, as ["example.org"]';
  }
  return Buffer.concat(
    names.map((name: string) =>
      Buffer.concat([
        ...name.split(".").map(label => Buffer.concat([Uint8Array.of(label.length), Buffer.from(label)])),
        Uint8Array.of(0),
      ]),
    ),
  );
}

/** RFC 3442: the prefix length, as many bytes of the network as matter, and the router. "10.8.0.0/16 via 10.0.0.2" */
function encodeStaticRoutes(value: NamedOptionValue): Uint8Array | string {
  const routes = typeof value === "string" ? [value] : value;
  const encoded = Array.isArray(routes) ? routes.flatMap((route: string) => encodeRoute(route) ?? []) : [];
  const all = Array.isArray(routes) && routes.length > 0 && encoded.length === routes.length;
  return all ? Buffer.concat(encoded) : 'must be one or more routes, as ["10.8.0.0/16 via 10.0.0.2"]';
}

function encodeRoute(text: string): Uint8Array | undefined {
  const [networkText = "", via, routerText = "", ...rest] = text.trim().split(/\s+/);
  const network = parseIpv4Network(networkText);
  const router: Ipv4 | undefined = parseIpv4(routerText);
  if (network === undefined || via !== "via" || router === undefined || rest.length > 0) return undefined;
  const significant = ipv4Value(network.network).subarray(0, Math.ceil(network.prefixLength / 8));
  return Buffer.concat([Uint8Array.of(network.prefixLength), significant, ipv4Value(router)]);
}
