/** The boot process in a test's namespace, with the events that it tells and its services as they change. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Ipv4, parseIpv4, parseIpv4Network, UNSPECIFIED } from "../../../src/core/ipv4.ts";
import type { BootEvent } from "../../../src/dhcp/boot-event.ts";
import { OPTION, type OptionEntry } from "../../../src/dhcp/options.ts";
import { BOOT_REQUEST, encodePacket, MESSAGE_TYPE } from "../../../src/dhcp/packet.ts";
import type { Subnet } from "../../../src/dhcp/subnet.ts";
import type { BootProcessConfig, BootSettings } from "../../../src/pxe/boot-process-messages.ts";
import { type BootProcess, startBootProcess } from "../../../src/pxe/io/boot-process.ts";

const MAIN = new URL("../../../src/main.ts", import.meta.url).pathname;

export interface ObservedBootProcess extends AsyncDisposable {
  readonly boot: BootProcess;
  /** Everything told so far, oldest first. */
  readonly events: readonly (BootEvent & { readonly mac: string | null })[];
  /** Resolves with the first event, past or to come, of which this is true. */
  untilEvent(isIt: (event: BootEvent) => boolean): Promise<BootEvent>;
  /** Resolves when this is true; looked at again whenever the process says anything, and now and then. */
  until(isSo: () => boolean): Promise<void>;
  readonly journal: string;
}

export async function observeBootProcess(
  namespace: string,
  changes: Partial<BootProcessConfig> = {},
): Promise<ObservedBootProcess> {
  const folder = await mkdtemp(join(tmpdir(), "drp-boot-"));
  const journal = join(folder, "leases.journal");
  const events: (BootEvent & { mac: string | null })[] = [];
  const boot = await startBootProcess({
    command: ["ip", "netns", "exec", namespace, process.execPath, MAIN, "boot-process"],
    config: {
      mode: "server",
      interfaces: [{ name: "lan0", address: ipv4("10.77.0.1") }],
      ports: { dhcp: 67, proxyDhcp: 4011, tftp: 69 },
      leaseJournal: journal,
      settings: bootSettings(),
      ...changes,
    },
    onEvent: (mac, event) => events.push({ mac, ...event }),
    scriptFor: async () => "",
    onExit: how => events.push({ mac: null, kind: "exit", summary: how, facts: {} }),
  });
  const until = async (isSo: () => boolean) => {
    while (!isSo()) await new Promise(resolve => setTimeout(resolve, 20));
  };
  return {
    boot,
    events,
    journal,
    until,
    untilEvent: async isIt => {
      await until(() => events.some(isIt));
      const event = events.find(isIt);
      if (event === undefined) throw new Error("the event has gone");
      return event;
    },
    [Symbol.asyncDispose]: async () => {
      await boot.stop();
      await rm(folder, { recursive: true });
    },
  };
}

export function bootSettings(changes: Partial<BootSettings> = {}): BootSettings {
  return {
    subnets: [subnet("10.77"), subnet("10.78")],
    classes: [],
    loader: "auto",
    bootPort: 8091,
    loaders: { ipxe: { bios: "undionly.kpxe", "x64-uefi": "ipxe.efi" }, signed: {} },
    tftpFiles: new Map(),
    bootAnswers: new Map(),
    unknown: { kind: "boot" },
    ...changes,
  };
}

/** @param start "10.77": of a network of 65,536 addresses, of which .1.0 to .1.255 are given */
export function subnet(start: string): Subnet {
  const network = parseIpv4Network(`${start}.0.0/16`);
  if (network === undefined) throw new Error(`${start} begins no network`);
  return {
    network,
    pools: [{ first: ipv4(`${start}.1.0`), last: ipv4(`${start}.1.255`) }],
    exclusions: [],
    reservations: [],
    router: null,
    dns: [],
    leaseSeconds: 600,
    options: [],
  };
}

export function ipv4(text: string): Ipv4 {
  const address = parseIpv4(text);
  if (address === undefined) throw new Error(`${text} is not an address`);
  return address;
}

/** A DISCOVER of the client 02:00:00:00:77:NUMBER, which wants a broadcast. */
export function discoverOf(number: number, options: readonly OptionEntry[] = []): Uint8Array {
  return encodePacket({
    op: BOOT_REQUEST,
    htype: 1,
    hops: 0,
    xid: 0x77_00_00 + number,
    secs: 0,
    broadcast: true,
    ciaddr: UNSPECIFIED,
    yiaddr: UNSPECIFIED,
    siaddr: UNSPECIFIED,
    giaddr: UNSPECIFIED,
    chaddr: Uint8Array.of(2, 0, 0, 0, 0x77, number),
    sname: "",
    file: "",
    options: new Map([[OPTION.messageType, Uint8Array.of(MESSAGE_TYPE.discover)], ...options]),
  });
}
