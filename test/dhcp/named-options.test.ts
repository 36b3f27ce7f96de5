import { describe, expect, it } from "vitest";
import { encodeNamedOption, type NamedOptionValue } from "../../src/dhcp/named-options.ts";

/** "15: 6578…" in hexadecimal, or the problem. */
function encoded(name: string, value: NamedOptionValue): string {
  const result = encodeNamedOption(name, value);
  return "problem" in result ? result.problem : `${result[0]}: ${Buffer.from(result[1]).toString("hex")}`;
}

describe("encodeNamedOption()", () => {
  it.each<[string, NamedOptionValue, string]>([
    ["domainName", "example.org", "15: 6578616d706c652e6f7267"],
    ["rootPath", "/srv", "17: 2f737276"],
    ["tftpServerName", "10.0.0.1", "66: 31302e302e302e31"],
    // RFC 2132 §3.4: two's complement.
    ["timeOffset", 3600, "2: 00000e10"],
    ["timeOffset", -3600, "2: fffff1f0"],
    ["mtu", 9000, "26: 2328"],
    ["broadcastAddress", "10.0.0.255", "28: 0a0000ff"],
    ["ntpServers", ["10.0.0.1", "10.0.0.2"], "42: 0a0000010a000002"],
    ["ntpServers", "10.0.0.1", "42: 0a000001"],
    ["logServers", ["10.0.0.1"], "7: 0a000001"],
    ["vendorSpecific", "hex:060108FF", "43: 060108ff"],
    // RFC 3397 §2.
    ["domainSearch", ["lab.example", "x.y"], "119: 036c6162076578616d706c65000178017900"],
    // RFC 3442's own examples: as many bytes of the network as its prefix needs.
    [
      "staticRoutes",
      ["0.0.0.0/0 via 10.0.0.1", "10.0.0.0/8 via 10.0.0.1", "10.17.0.0/16 via 10.0.0.2"],
      "121: 000a000001080a0a000001100a110a000002",
    ],
    ["staticRoutes", "10.229.0.128/25 via 10.229.0.1", "121: 190ae500800ae50001"],
    ["224", "hex:0a0b", "224: 0a0b"],
    ["224", "text:a:b", "224: 613a62"],
    ["6", "hex:09090909", "6: 09090909"],
    ["60", "text:PXEClient", "60: 505845436c69656e74"],
  ])("writes %s %j as bytes", (name, value, expected) => {
    expect(encoded(name, value)).toBe(expected);
  });

  it.each<[string, NamedOptionValue, string]>([
    ["domainName", "ex ample", 'domainName must be a domain name, as "example.org"'],
    ["domainName", 7, 'domainName must be a domain name, as "example.org"'],
    ["rootPath", "", "rootPath must be a text of at least one character, without control characters"],
    ["rootPath", "a\0b", "rootPath must be a text of at least one character, without control characters"],
    ["timeOffset", 1.5, "timeOffset must be the seconds east of UTC, -50400 to 50400"],
    ["mtu", 67, "mtu must be a number of bytes, 68 to 65535"],
    ["mtu", "1500", "mtu must be a number of bytes, 68 to 65535"],
    ["broadcastAddress", "10.0.0", "broadcastAddress must be an IPv4 address"],
    ["ntpServers", [], "ntpServers must be one or more IPv4 addresses"],
    ["ntpServers", ["10.0.0.1", "ntp.example"], "ntpServers must be one or more IPv4 addresses"],
    ["ntpServers", true, "ntpServers must be one or more IPv4 addresses"],
    ["domainSearch", ["a..b"], 'domainSearch must be one or more domain names, as ["example.org"]'],
    [
      "staticRoutes",
      ["10.0.0.1/8 via 10.0.0.1"],
      'staticRoutes must be one or more routes, as ["10.8.0.0/16 via 10.0.0.2"]',
    ],
    ["vendorSpecific", "0601", 'vendorSpecific must be bytes as "hex:0a0b" or a text as "text:…"'],
    ["224", "hex:0", 'option 224 must be bytes as "hex:0a0b" or a text as "text:…"'],
    ["224", 5, 'option 224 must be bytes as "hex:0a0b" or a text as "text:…"'],
    ["0", "hex:00", "option 0 does not exist; codes are 1 to 254"],
    ["255", "hex:00", "option 255 does not exist; codes are 1 to 254"],
    ["1", "hex:00", "option 1 cannot be set: it follows from the subnet's network"],
    ["12", "text:x", 'option 12 cannot be set: write it as the reservation\'s "hostname"'],
    ["51", "hex:00", "option 51 cannot be set: the DHCP server decides it for each answer"],
    ["67", "text:x", "option 67 cannot be set: the boot server decides it for each machine"],
    ["82", "hex:00", "option 82 cannot be set: relays send it"],
    ["93", "hex:00", "option 93 cannot be set: clients send it"],
    ["rootPath", "x".repeat(256), "rootPath has 256 bytes; at most 255 fit"],
  ])("says what is wrong with %s %j", (name, value, problem) => {
    expect(encoded(name, value)).toBe(problem);
  });

  it("names what it knows when it meets what it does not", () => {
    expect(encoded("ntpServer", "10.0.0.1")).toMatch(
      /^there is no DHCP option "ntpServer"; known are timeOffset, .*, and codes as "224"$/,
    );
  });
});
