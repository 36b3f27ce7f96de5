/**
 * Captured frames as UDP datagrams and TCP segments. Knows Ethernet with VLAN tags (IEEE 802.1Q), Linux cooked captures and
 * IPv4 with its fragments (RFC 791); whatever else a frame is, is named and left alone: a capture is evidence, and one odd
 * frame must not hide the others.
 */
import { formatIpv4, type Ipv4 } from "../../../src/core/ipv4.ts";
import type { CapturedFrame } from "./read-capture.ts";
import { LINK_TYPE } from "./write-capture.ts";

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export type Packet = { readonly from: Endpoint; readonly to: Endpoint; readonly payload: Uint8Array } & (
  | { readonly kind: "udp" }
  | { readonly kind: "tcp"; readonly sequence: number; readonly starts: boolean }
);

export interface Unread {
  readonly kind: "unread";
  /** "ARP", "IPv6", "a fragment whose other parts are missing" */
  readonly what: string;
}

const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd, providerBridge: 0x88a8 } as const;
const PROTOCOL = { tcp: 6, udp: 17 } as const;
const TCP_SYN = 0x02;

/** One for each frame, in order; of a fragmented datagram the frame that completes it has it. */
export function readPackets(frames: readonly CapturedFrame[]): (Packet | Unread)[] {
  const fragments = new Map<string, Fragments>();
  return frames.map(frame => {
    try {
      const ip = networkPacket(frame);
      if (ip.kind === "unread") return ip;
      if (!ip.whole) return unread(`a packet from ${ip.source} that the capture cut short`);
      const whole = isFragment(ip) ? addFragment(fragments, ip) : ip;
      return whole.kind === "unread" ? whole : transportPacket(whole);
    } catch (error) {
      // Every field is read through a DataView, which refuses to go beyond the frame.
      if (!(error instanceof RangeError)) throw error;
      return unread(`a frame of ${frame.bytes.length} bytes that ends within a header`);
    }
  });
}

interface IpPacket {
  readonly kind: "ip";
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly identification: number;
  readonly moreFragments: boolean;
  readonly fragmentOffset: number;
  readonly payload: Uint8Array;
  /** False where the capture cut the packet short. */
  readonly whole: boolean;
}

function networkPacket({ linkType, bytes }: CapturedFrame): IpPacket | Unread {
  const view = viewOf(bytes);
  switch (linkType) {
    case LINK_TYPE.ethernet:
      return afterEthertype(bytes, view.getUint16(12), 14);
    case LINK_TYPE.linuxCooked:
      return afterEthertype(bytes, view.getUint16(14), 16);
    case LINK_TYPE.linuxCooked2:
      return afterEthertype(bytes, view.getUint16(0), 20);
    case LINK_TYPE.raw:
    case LINK_TYPE.rawBsd:
    case LINK_TYPE.rawIpv4:
      return view.getUint8(0) >> 4 === 6 ? unread("IPv6") : ipv4Packet(bytes);
    default:
      return unread(`link type ${linkType}`);
  }
}

function afterEthertype(bytes: Uint8Array, ethertype: number, offset: number): IpPacket | Unread {
  switch (ethertype) {
    case ETHERTYPE.vlan:
    case ETHERTYPE.providerBridge:
      return afterEthertype(bytes, viewOf(bytes).getUint16(offset + 2), offset + 4);
    case ETHERTYPE.ipv4:
      return ipv4Packet(bytes.subarray(offset));
    case ETHERTYPE.arp:
      return unread("ARP");
    case ETHERTYPE.ipv6:
      return unread("IPv6");
    default:
      return unread(`ethertype 0x${ethertype.toString(16).padStart(4, "0")}`);
  }
}

function ipv4Packet(bytes: Uint8Array): IpPacket | Unread {
  const view = viewOf(bytes);
  const version = view.getUint8(0) >> 4;
  const headerBytes = (view.getUint8(0) & 15) * 4;
  if (version !== 4 || headerBytes < 20)
    return unread(`IP version ${version} with a header of ${headerBytes} bytes`);
  // Zero: the sender left the length to the card (segmentation offload), and the frame was seen before the card.
  const totalBytes = view.getUint16(2) || bytes.length;
  if (totalBytes < headerBytes)
    return unread(`an IPv4 packet of ${totalBytes} bytes with a header of ${headerBytes}`);
  const flags = view.getUint16(6);
  return {
    kind: "ip",
    source: formatIpv4(view.getUint32(12) as Ipv4),
    destination: formatIpv4(view.getUint32(16) as Ipv4),
    protocol: view.getUint8(9),
    identification: view.getUint16(4),
    moreFragments: (flags & 0x2000) !== 0,
    fragmentOffset: (flags & 0x1fff) * 8,
    // Ethernet pads short frames: what is beyond the total length is not the packet's.
    payload: bytes.subarray(headerBytes, totalBytes),
    whole: bytes.length >= totalBytes,
  };
}

interface Fragments {
  readonly parts: Map<number, Uint8Array>;
  /** Known once the last part was seen. */
  payloadBytes: number | undefined;
}

function isFragment({ moreFragments, fragmentOffset }: IpPacket): boolean {
  return moreFragments || fragmentOffset > 0;
}

/** The whole packet once its last missing part is there. */
function addFragment(known: Map<string, Fragments>, part: IpPacket): IpPacket | Unread {
  const key = `${part.source} ${part.destination} ${part.protocol} ${part.identification}`;
  const fragments = known.get(key) ?? { parts: new Map(), payloadBytes: undefined };
  known.set(key, fragments);
  fragments.parts.set(part.fragmentOffset, part.payload);
  if (!part.moreFragments) fragments.payloadBytes = part.fragmentOffset + part.payload.length;
  const payload = joinFragments(fragments);
  if (payload === undefined)
    return unread(`fragment at ${part.fragmentOffset} of a datagram from ${part.source}`);
  known.delete(key);
  return { ...part, payload, fragmentOffset: 0, moreFragments: false };
}

function joinFragments({ parts, payloadBytes }: Fragments): Uint8Array | undefined {
  if (payloadBytes === undefined) return undefined;
  const joined = Buffer.alloc(payloadBytes);
  let filledTo = 0;
  for (const [offset, part] of [...parts].sort(([a], [b]) => a - b)) {
    if (offset > filledTo || offset + part.length > payloadBytes) return undefined;
    joined.set(part, offset);
    filledTo = Math.max(filledTo, offset + part.length);
  }
  return filledTo === payloadBytes ? joined : undefined;
}

function transportPacket(ip: IpPacket): Packet | Unread {
  const { protocol, payload } = ip;
  if (protocol !== PROTOCOL.udp && protocol !== PROTOCOL.tcp) return unread(`IP protocol ${protocol}`);
  const view = viewOf(payload);
  const ends = {
    from: { address: ip.source, port: view.getUint16(0) },
    to: { address: ip.destination, port: view.getUint16(2) },
  };
  if (protocol === PROTOCOL.udp) {
    return { kind: "udp", ...ends, payload: new Uint8Array(payload.subarray(8, view.getUint16(4))) };
  }
  const headerBytes = (view.getUint8(12) >> 4) * 4;
  return {
    kind: "tcp",
    ...ends,
    sequence: view.getUint32(4),
    starts: (view.getUint8(13) & TCP_SYN) !== 0,
    payload: new Uint8Array(payload.subarray(headerBytes)),
  };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function unread(what: string): Unread {
  return { kind: "unread", what };
}
