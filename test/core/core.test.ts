import { expect, test } from "vitest";
import { formatBytes } from "../../src/core/bytes.ts";
import { DrpError, describeErrorChain } from "../../src/core/errors.ts";
import { mintId } from "../../src/core/ids.ts";
import {
  broadcastAddress,
  formatIpv4,
  networkContains,
  parseIpv4,
  parseIpv4Network,
} from "../../src/core/ipv4.ts";
import { parseMac } from "../../src/core/mac.ts";
import { formatDuration } from "../../src/core/time.ts";

test.each([
  "52:54:00:AB:cd:01",
  "52-54-00-ab-cd-01",
  "525400abcd01",
  "5254.00ab.cd01",
  " 52:54:00:ab:cd:01 ",
])("parseMac() reads %s", text => expect(parseMac(text)).toBe("52:54:00:ab:cd:01"));

test.each(["", "52:54:00:ab:cd", "52:54:00:ab:cd:zz", "52:54-00:ab-cd:01", "52:54:00:ab:cd:01:02"])(
  "parseMac() refuses %j",
  text => expect(parseMac(text)).toBeUndefined(),
);

test.each(["10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.1 ", "0x0a.0.0.1"])("parseIpv4() refuses %j", text =>
  expect(parseIpv4(text)).toBeUndefined(),
);

test("an address above 127.255.255.255 stays an unsigned number", () => {
  const address = parseIpv4("192.168.1.255");
  expect(address).toBe(0xc0a801ff);
  expect(address !== undefined && formatIpv4(address)).toBe("192.168.1.255");
});

test("a network knows its members and its broadcast address", () => {
  const network = parseIpv4Network("192.168.1.0/24");
  const inside = parseIpv4("192.168.1.77");
  const outside = parseIpv4("192.168.2.1");
  if (network === undefined || inside === undefined || outside === undefined) throw new Error("must parse");
  expect([networkContains(network, inside), networkContains(network, outside)]).toEqual([true, false]);
  expect(formatIpv4(broadcastAddress(network))).toBe("192.168.1.255");
});

test.each(["10.0.0.1/24", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/24/1"])(
  "parseIpv4Network() refuses %j",
  text => expect(parseIpv4Network(text)).toBeUndefined(),
);

test("an id names its kind and uses all its random bytes", () => {
  expect(mintId("m", count => Uint8Array.from({ length: count }, (_, index) => index))).toBe("m-0123456789");
});

test.each([
  [0, "0 B"],
  [1536, "1.5 KiB"],
  [64 * 1024 * 1024, "64.0 MiB"],
  [300 * 1024 ** 3, "300 GiB"],
])("formatBytes(%d) is %s", (bytes, text) => expect(formatBytes(bytes)).toBe(text));

test.each([
  [400, "0 s"],
  [250_000, "4 min 10 s"],
  [7_500_000, "2 h 5 min"],
  [90_000_000, "1 d 1 h"],
])("formatDuration(%d) is %s", (ms, text) => expect(formatDuration(ms)).toBe(text));

test("an error's chain reads as one line and repeats nothing", () => {
  const error = new DrpError("storage.full", "chunk 7 was not stored", {
    cause: new Error("no space left on device"),
  });
  expect(describeErrorChain(error)).toBe("chunk 7 was not stored: no space left on device");
});
