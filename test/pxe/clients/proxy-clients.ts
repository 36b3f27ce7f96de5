/** Network-boot clients' messages to a ProxyDHCP server (Intel PXE 2.1 §2.2), by name. */
import type { RawClient } from "./helpers/describe-messages.ts";
import { END, ip, join, option, rawMessage } from "./helpers/raw-message.ts";

const DISCOVER = option(53, 1);
const REQUEST = option(53, 3);
const UUID = option(97, 0, Buffer.from("00112233445566778899aabbccddeeff", "hex"));
const BIOS = join(
  option(93, 0, 0),
  option(94, 1, 2, 1),
  option(60, "PXEClient:Arch:00000:UNDI:002001"),
  UUID,
);
const UEFI = join(
  option(93, 0, 7),
  option(94, 1, 3, 16),
  option(60, "PXEClient:Arch:00007:UNDI:003016"),
  UUID,
);
const UEFI_HTTP = join(
  option(93, 0, 16),
  option(94, 1, 3, 16),
  option(60, "HTTPClient:Arch:00016:UNDI:003016"),
  UUID,
);

let machines = 0;
const mac = () => `02000000fe${(++machines).toString(16).padStart(2, "0")}`;

function client(name: string, expect: RawClient["expect"], ...options: Uint8Array[]): RawClient {
  return {
    name,
    from: "client",
    expect,
    bytes: rawMessage({ chaddr: mac(), options: join(...options, END) }),
  };
}

export const PROXY_CLIENTS: readonly RawClient[] = [
  client("bios-discover", "reply", DISCOVER, BIOS),
  client("uefi-discover", "reply", DISCOVER, UEFI),
  client("uefi-http-discover", "reply", DISCOVER, UEFI_HTTP),
  client("ipxe-discover", "reply", DISCOVER, BIOS, option(77, "iPXE")),
  client("operating-system-discover", "silence", DISCOVER, option(60, "android-dhcp-14")),
  client(
    "request-to-the-real-server",
    "silence",
    REQUEST,
    BIOS,
    option(54, ip("10.77.0.254")),
    option(50, ip("10.77.1.7")),
  ),
  {
    // EDK2 asks here after an offer with option 60 and without 43: NetworkPkg/UefiPxeBcDxe/PxeBcDhcp4.c.
    name: "uefi-request-at-4011",
    from: "boot-server-client",
    expect: "reply",
    bytes: rawMessage({ chaddr: mac(), ciaddr: "10.77.0.9", options: join(REQUEST, UEFI, END) }),
  },
  {
    name: "bios-request-at-4011",
    from: "boot-server-client",
    expect: "reply",
    bytes: rawMessage({ chaddr: mac(), ciaddr: "10.77.0.9", options: join(REQUEST, BIOS, END) }),
  },
  {
    name: "operating-system-at-4011",
    from: "boot-server-client",
    expect: "silence",
    bytes: rawMessage({ chaddr: mac(), ciaddr: "10.77.0.9", options: join(REQUEST, END) }),
  },
];
