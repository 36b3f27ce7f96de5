/**
 * DISCOVERs and other messages as odd clients, old ROMs and relays send them, by name. Each was laid out after the source that
 * it names; its answer is in test/fixtures/exchanges/peculiar.
 */
import { macFromBytes } from "../../../src/core/mac.ts";
import type { OptionEntry } from "../../../src/dhcp/options.ts";
import type { Reservation } from "../../../src/dhcp/subnet.ts";
import { ipv4 } from "../helpers/boot-process.ts";
import type { RawClient } from "./helpers/describe-messages.ts";
import { END, ip, join, option, rawMessage } from "./helpers/raw-message.ts";

const TYPE = { discover: option(53, 1), request: option(53, 3), inform: option(53, 8) };
/** What PXE ROMs ask for (Intel's PXE 2.1, table 2-1). */
const PXE_PARAMETERS = option(
  55,
  Uint8Array.from([1, 2, 3, 5, 6, 11, 12, 13, 15, 16, 17, 18, 43, 54, 60, 67]),
);
const UUID = option(97, 0, Buffer.from("00112233445566778899aabbccddeeff", "hex"));

const architecture = (number: number) => option(93, number >> 8, number & 255);
const pxeClass = (number: number, undi: string) =>
  option(60, `PXEClient:Arch:${String(number).padStart(5, "0")}:UNDI:${undi}`);

/** EDK2: NetworkPkg/UefiPxeBcDxe/PxeBcDhcp4.c, in the order in which it appends its options. */
const edk2 = (number: number) =>
  join(
    TYPE.discover,
    option(57, 0x05, 0xc0),
    PXE_PARAMETERS,
    UUID,
    option(94, 1, 3, 16),
    architecture(number),
    pxeClass(number, "003016"),
    END,
  );

const reservations: Reservation[] = [];

/**
 * A hardware address of its own for each row, with an IP address reserved for it: a row's answer is the same whichever rows
 * were asked before.
 *
 * @param options told to this machine alone
 */
function mac(oui = "020000", options: readonly OptionEntry[] = []): string {
  const number = reservations.length + 1;
  const chaddr = `${oui}00ff${number.toString(16).padStart(2, "0")}`;
  const known = macFromBytes(Buffer.from(chaddr, "hex"));
  reservations.push({
    client: { kind: "mac", mac: known },
    address: ipv4(`10.77.3.${number}`),
    hostname: null,
    options,
  });
  return chaddr;
}

function client(name: string, ...options: Uint8Array[]): RawClient {
  return {
    name,
    from: "client",
    expect: "reply",
    bytes: rawMessage({ chaddr: mac(), options: join(...options) }),
  };
}

/** iPXE: src/net/udp/dhcp.c and its features as sub-options of 175. */
const IPXE_FEATURES = option(
  175,
  join(
    option(177, "\x01\x1a\xf4\x10\x00"),
    option(235, 1, 21, 1),
    option(19, 1),
    option(33, 1),
    option(36, 1),
  ),
);

/** RFC 4390's identifier of the InfiniBand row. */
const INFINIBAND_ID = "ff00000001000300200002c903000bade1";

export const PECULIAR_CLIENTS: readonly RawClient[] = [
  client(
    "bios-undi-rom",
    TYPE.discover,
    PXE_PARAMETERS,
    option(57, 0x04, 0xec),
    UUID,
    architecture(0),
    option(94, 1, 2, 1),
    pxeClass(0, "002001"),
    END,
  ),
  client("bios-rom-before-rfc-4578", TYPE.discover, PXE_PARAMETERS, option(60, "PXEClient"), END),
  client("uefi-x64-as-7", edk2(7)),
  client("uefi-x64-as-9", edk2(9)),
  client("uefi-arm64", edk2(11)),
  client("uefi-arm32-has-no-loader", edk2(10)),
  client("pxe-of-an-unknown-architecture", edk2(999)),
  client(
    "uefi-http-x64",
    TYPE.discover,
    option(57, 0x05, 0xc0),
    option(55, Uint8Array.from([1, 3, 6, 15, 43, 54, 60, 66, 67])),
    UUID,
    option(94, 1, 3, 16),
    architecture(16),
    option(60, "HTTPClient:Arch:00016:UNDI:003016"),
    END,
  ),
  client(
    "ipxe-in-a-bios-rom",
    TYPE.discover,
    architecture(0),
    pxeClass(0, "002001"),
    option(77, "iPXE"),
    IPXE_FEATURES,
    UUID,
    END,
  ),
  client(
    "ipxe-under-uefi-with-rfc-3004-class",
    TYPE.discover,
    architecture(7),
    pxeClass(7, "003016"),
    option(77, 4, "iPXE"),
    END,
  ),
  {
    // The boot ROM of a Pi 4 says that it is a BIOS; its address tells (raspberrypi.com, "Network booting").
    name: "raspberry-pi-4",
    from: "client",
    expect: "reply",
    bytes: rawMessage({
      chaddr: mac("dca632"),
      options: join(
        TYPE.discover,
        option(55, Uint8Array.from([1, 3, 43, 60, 66, 67, 128, 129, 130, 131, 132, 133, 134, 135])),
        architecture(0),
        option(94, 1, 2, 1),
        option(97, 0, "RPi4", Buffer.from("0314c0001122334455667788", "hex")),
        pxeClass(0, "002001"),
        END,
      ),
    }),
  },
  {
    // RFC 4390 §2.1: no hardware address, an identifier of RFC 4361, and the broadcast flag.
    name: "infiniband",
    from: "client",
    expect: "reply",
    bytes: rawMessage({
      htype: 32,
      chaddr: "",
      broadcast: true,
      options: join(TYPE.discover, option(61, Buffer.from(INFINIBAND_ID, "hex")), END),
    }),
  },
  {
    name: "hardware-that-nobody-boots",
    from: "client",
    expect: "silence",
    bytes: rawMessage({ htype: 6, chaddr: "0102", options: join(TYPE.discover, END) }),
  },
  // Together more than 576 bytes hold: the answer's header and cookie take 240, IP and UDP 28.
  ...([576, 1500] as const).map(
    (sizeBytes): RawClient => ({
      name: `largest-message-${sizeBytes}`,
      from: "client",
      expect: "reply",
      bytes: rawMessage({
        chaddr: mac("020000", [
          [17, Buffer.from("nfs://10.77.0.1/".padEnd(200, "r"))],
          [114, Buffer.from("http://10.77.0.1/".padEnd(200, "u"))],
        ]),
        options: join(
          TYPE.discover,
          option(57, sizeBytes >> 8, sizeBytes & 255),
          architecture(7),
          pxeClass(7, "003016"),
          END,
        ),
      }),
    }),
  ),
  {
    // RFC 2132 §9.3: architecture in `file`, vendor class in `sname`.
    name: "overloaded-options",
    from: "client",
    expect: "reply",
    bytes: rawMessage({
      chaddr: mac(),
      file: join(architecture(7), END),
      sname: join(pxeClass(7, "003016"), END),
      options: join(TYPE.discover, option(52, 3), END),
    }),
  },
  // RFC 3396: a value in three parts, with others between them.
  client(
    "vendor-class-in-parts",
    TYPE.discover,
    option(60, "PXE"),
    architecture(7),
    option(60, "Client:"),
    option(60, "Arch:00007"),
    END,
  ),
  {
    name: "broadcast-flag",
    from: "client",
    expect: "reply",
    bytes: rawMessage({ chaddr: mac(), broadcast: true, options: join(TYPE.discover, END) }),
  },
  {
    name: "waiting-for-a-minute",
    from: "client",
    expect: "reply",
    bytes: rawMessage({ chaddr: mac(), secs: 60, options: join(TYPE.discover, END) }),
  },
  client("no-end-option", TYPE.discover, option(60, "anaconda-Linux 6.1")),
  client(
    "pads-between-options",
    TYPE.discover,
    Buffer.alloc(3),
    architecture(7),
    Buffer.alloc(1),
    pxeClass(7, "003016"),
    END,
  ),
  {
    name: "bootp-without-a-type",
    from: "client",
    expect: "silence",
    bytes: rawMessage({ chaddr: mac(), options: END }),
  },
  {
    name: "bootp-without-the-cookie",
    from: "client",
    expect: "silence",
    bytes: rawMessage({ chaddr: mac(), options: null }),
  },
  {
    name: "request-to-another-server",
    from: "client",
    expect: "silence",
    bytes: rawMessage({
      chaddr: mac(),
      options: join(TYPE.request, option(54, ip("10.77.0.2")), option(50, ip("10.77.1.1")), END),
    }),
  },
  {
    name: "remembers-an-address-of-another-network",
    from: "client",
    expect: "reply",
    bytes: rawMessage({ chaddr: mac(), options: join(TYPE.request, option(50, ip("192.168.1.7")), END) }),
  },
  {
    name: "inform-from-its-own-address",
    from: "client",
    expect: "reply",
    bytes: rawMessage({
      chaddr: mac(),
      ciaddr: "10.77.0.9",
      options: join(TYPE.inform, option(55, 1, 3, 6), END),
    }),
  },
  {
    name: "relay-with-sub-options-that-nobody-knows",
    from: "relay",
    expect: "reply",
    bytes: rawMessage({
      chaddr: mac(),
      giaddr: "10.77.0.9",
      hops: 1,
      options: join(
        TYPE.discover,
        option(82, option(1, "ge-0/0/7"), option(2, 0, 1, 2), option(200, "x"), option(201)),
        END,
      ),
    }),
  },
  {
    // RFC 3527: the client's link; RFC 5107: the relay wants to be named as the server.
    name: "relay-with-link-selection-and-server-override",
    from: "relay",
    expect: "reply",
    bytes: rawMessage({
      chaddr: mac(),
      giaddr: "10.77.0.9",
      hops: 1,
      options: join(
        TYPE.discover,
        option(82, option(1, "far0"), option(5, ip("10.99.0.0")), option(11, ip("10.99.0.1"))),
        END,
      ),
    }),
  },
  {
    name: "relay-from-a-network-that-is-not-served",
    from: "relay",
    expect: "silence",
    bytes: rawMessage({ chaddr: mac(), giaddr: "192.168.9.1", hops: 1, options: join(TYPE.discover, END) }),
  },
];

export const PECULIAR_RESERVATIONS: readonly Reservation[] = [
  ...reservations,
  {
    client: { kind: "client-id", clientId: INFINIBAND_ID },
    address: ipv4("10.77.3.200"),
    hostname: null,
    options: [],
  },
];
