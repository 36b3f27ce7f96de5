/** Boots as they go in the field, each with the rule that must explain its end. */
import type { TimelineEvent } from "../../../../src/agent/hub/explain/timeline-event.ts";
import {
  address,
  type Because,
  discover,
  event,
  fetched,
  ramdiskBoot,
  refused,
  request,
  siteEvent,
  unanswered,
} from "./events.ts";

export interface Story {
  readonly rule: string;
  readonly events: readonly TimelineEvent[];
  readonly siteEvents?: readonly TimelineEvent[];
  readonly machineState?: string;
  /** Of the explanation's end; a text that must stand in it. */
  readonly says: string;
  /** The whole text is kept as a reviewed file. */
  readonly golden?: true;
}

const OTHER_SERVER = siteEvent(
  0.05,
  "dhcp.other-server",
  "second DHCP server 10.0.0.9 on lan0: it answered our search",
  {
    server: "10.0.0.9",
    interface: "lan0",
  },
);
const SCRIPT = (what: string, why: string, because?: Because) =>
  event(5, `script.${what}`, why, because === undefined ? {} : { because });

export const STORIES: Readonly<Record<string, Story>> = {
  "an order is installed and the system runs": {
    rule: "runs",
    golden: true,
    machineState: "healthy",
    events: [
      ...ramdiskBoot(),
      ...address(14, "system"),
      event(15, "machine.registered", "till-1 begins install attempt 1 of 3 (x64, uefi)"),
      event(16, "install.writing", "till-1: writing"),
      event(40, "install.written", "3f2a is on the disk, read back and equal; the machine restarts from it"),
      event(75, "machine.booted", "till-1 runs 3f2a from slot a"),
    ],
    says: "✓ till-1 runs 3f2a from slot a",
  },
  "an install fails": {
    rule: "install-failed",
    events: [...ramdiskBoot(), event(20, "install.failed", "attempt 1 of 3 failed: /dev/vda is too small")],
    says: "attempt 1 of 3 failed: /dev/vda is too small",
  },
  "the installed disk does not start": {
    rule: "written",
    events: [...ramdiskBoot(), event(40, "install.written", "3f2a is on the disk")],
    says: "firmware and image agree on BIOS or UEFI",
  },
  "an install stops half-way": {
    rule: "installing",
    events: [...ramdiskBoot(), event(16, "install.writing", "till-1: writing")],
    says: "✗ installing, writing (10 min ago)",
  },
  "an unknown machine is discovered": {
    rule: "registered",
    machineState: "discovered",
    events: [
      ...ramdiskBoot(),
      event(15, "machine.registered", "d52 is new and waits for an order (x64, uefi)"),
    ],
    says: "→ Give it an image: drp machines install MACHINE --image IMAGE",
  },
  "the ramdisk has an address and does not reach us": {
    rule: "ramdisk-silent",
    events: [...ramdiskBoot(), ...address(14, "system")],
    says: "machineChannel.port",
  },
  "the kernel does not start": {
    rule: "ramdisk-silent",
    events: ramdiskBoot(),
    says: "too little memory: give it 1 GiB",
  },
  "the ramdisk breaks off": {
    rule: "ramdisk-broken-off",
    golden: true,
    events: [
      ...ramdiskBoot().slice(0, -1),
      fetched(9, "http", "/ramdisk/initrd.img", 45_395_843, 20_000_000),
    ],
    says: "HTTP of /ramdisk/initrd.img broke off at 44 %",
  },
  "GRUB refuses the kernel": {
    rule: "kernel-alone",
    events: ramdiskBoot().slice(0, -1),
    says: "boot.loader: signed",
  },
  "the site does not answer unknown machines": {
    rule: "script-refused",
    events: [...address(4, "ipxe"), SCRIPT("refused", "unknown machine, and the site does not answer those")],
    says: "nothing to boot: unknown machine",
  },
  "nothing is ordered": {
    rule: "disk",
    machineState: "healthy",
    events: [...address(4, "ipxe"), SCRIPT("disk", "nothing is ordered")],
    says: "✓ it was told to boot its own disk: nothing is ordered",
  },
  "the ramdisk never gets as far as the site": {
    rule: "ramdisk-in-vain",
    events: [
      ...address(4, "ipxe"),
      SCRIPT("disk", "five starts, and nothing came of them", "ramdisk-in-vain"),
    ],
    says: "give a new order",
  },
  "an order has expired": {
    rule: "order-spent",
    events: [...address(4, "ipxe"), SCRIPT("disk", "order i-1 is too old", "order-spent")],
    says: "not to install: order i-1 is too old",
  },
  "a machine is quarantined": {
    rule: "quarantined",
    events: [...address(4, "ipxe"), SCRIPT("disk", "two machines have its identity", "quarantined")],
    says: "no install until a person has looked",
  },
  "the disk's system asks for an address": {
    rule: "disk-and-system",
    events: [...address(4, "ipxe"), SCRIPT("disk", "nothing is ordered"), ...address(30, "system")],
    says: "the system on it asked for an address and got 10.0.0.7",
  },
  "the disk is empty, and the machine goes round": {
    rule: "disk-loop",
    golden: true,
    events: [
      ...address(0, "ipxe"),
      event(1, "script.disk", "nothing is ordered"),
      ...address(41, "ipxe"),
      event(42, "script.disk", "nothing is ordered"),
    ],
    says: "it began to boot again 40 s later",
  },
  "the script is not followed": {
    rule: "script-unused",
    events: [...address(4, "ipxe"), SCRIPT("ramdisk", "boots the ramdisk")],
    says: "fetched neither kernel nor ramdisk",
  },
  "iPXE does not reach boot HTTP": {
    rule: "ipxe-no-script",
    events: [...address(0, "uefi"), fetched(1, "tftp", "snponly.efi", 173_792), ...address(4, "ipxe")],
    says: "boot HTTP (tcp, boot.port of drp.yaml)",
  },
  "the switch waits before it forwards": {
    rule: "ipxe-no-address",
    events: [
      ...address(0, "bios"),
      fetched(1, "tftp", "undionly.kpxe", 70_000),
      discover(4, "ipxe"),
      discover(8, "ipxe"),
    ],
    says: "PortFast",
  },
  "GRUB does not ask for its script": {
    rule: "grub-no-script",
    events: [
      ...address(0, "uefi", { file: "shimx64.efi" }),
      fetched(1, "tftp", "shimx64.efi", 900_000),
      fetched(2, "tftp", "grubx64.efi", 2_000_000),
    ],
    says: "GRUB never asked for its script",
  },
  "Secure Boot does not know shim's signer": {
    rule: "shim-no-grub",
    events: [...address(0, "uefi", { file: "shimx64.efi" }), fetched(1, "tftp", "shimx64.efi", 900_000)],
    says: "Microsoft 3rd-party UEFI CA",
  },
  "Secure Boot refuses iPXE": {
    rule: "loader-not-started",
    golden: true,
    events: [
      ...address(0, "uefi"),
      event(0.2, "tftp.size", "snponly.efi: 173792 bytes", { file: "snponly.efi", sizeBytes: 173_792 }),
      fetched(0.7, "tftp", "snponly.efi", 173_792),
    ],
    says: "→ Set boot.loader: signed in drp.yaml",
  },
  "a BIOS ROM does not start what it loaded": {
    rule: "loader-not-started",
    events: [...address(0, "bios"), fetched(1, "tftp", "undionly.kpxe", 70_000)],
    says: "NBP is too big",
  },
  "the firmware asks again after its loader": {
    rule: "loader-not-started",
    events: [...address(0, "uefi"), fetched(1, "tftp", "snponly.efi", 173_792), ...address(9, "uefi")],
    says: "then the firmware itself asked again, not iPXE",
  },
  "the boot files are not built": {
    rule: "loader-missing",
    events: [
      ...address(0, "uefi"),
      event(1, "tftp.missing", "snponly.efi is not served", { file: "snponly.efi" }),
    ],
    says: "npm run build",
  },
  "somebody else names the boot file": {
    rule: "loader-missing",
    siteEvents: [OTHER_SERVER],
    events: [event(1, "tftp.missing", "pxelinux.0 is not served", { file: "pxelinux.0" })],
    says: "Another DHCP server answers here (10.0.0.9 on lan0)",
  },
  "the firmware only asks for the size": {
    rule: "loader-size-only",
    events: [
      ...address(0, "uefi"),
      event(1, "tftp.size", "snponly.efi: 173792 bytes", { file: "snponly.efi", sizeBytes: 173_792 }),
    ],
    says: "did not fetch it",
  },
  "TFTP breaks off": {
    rule: "loader-broken-off",
    golden: true,
    events: [
      ...address(0, "uefi"),
      event(0.5, "tftp.start", "snponly.efi, 173792 bytes", { file: "snponly.efi", sizeBytes: 173_792 }),
      fetched(12, "tftp", "snponly.efi", 173_792, 60_000),
    ],
    says: "TFTP of snponly.efi broke off at 34 %",
  },
  "TFTP loses its first packets": {
    rule: "loader-broken-off",
    events: [...address(0, "uefi"), fetched(12, "tftp", "snponly.efi", 173_792, 0)],
    says: "frames that are too large for a link on the way",
  },
  "a machine starts from its disk without asking": {
    rule: "system",
    events: [...address(0, "system"), request(300, "system", { state: "renewing" })],
    says: "it did not ask for anything to boot",
  },
  "there is no loader for this firmware": {
    rule: "nothing-to-boot",
    events: address(0, "arm32-uefi", {
      reason: "10.0.0.7 for 12 h; PXE client, arm32-uefi (architecture 10); no loader for it here",
      because: "no-loader",
    }),
    says: "There is no loader for this kind of firmware here",
  },
  "the site gives unknown machines nothing": {
    rule: "nothing-to-boot",
    events: address(0, "uefi", {
      file: "",
      reason: "10.0.0.7 for 12 h; PXE client, x64-uefi (architecture 7); nothing to boot: nobody entered it",
      because: "unknown-machine",
    }),
    says: "drp machines create NAME --mac MAC",
  },
  "nobody has a loader for this firmware": {
    rule: "nothing-to-boot",
    events: address(0, "uefi", {
      file: "",
      reason: "10.0.0.7 for 12 h; PXE client of architecture 2, Itanium",
      because: "unknown-firmware",
    }),
    says: "Choose another boot mode in its firmware",
  },
  "the signed loader cannot be fetched by HTTP": {
    rule: "nothing-to-boot",
    events: address(0, "uefi-http", {
      file: "",
      reason: "10.0.0.7 for 12 h; UEFI HTTP client, x64-uefi; shimx64.efi starts over PXE alone",
      because: "pxe-only",
    }),
    says: "Choose PXE (IPv4) in its firmware",
  },
  "TFTP is not asked": { rule: "loader-never-asked", events: address(0, "uefi"), says: "tftp.port" },
  "UEFI does not like plain HTTP": {
    rule: "loader-never-asked",
    events: address(0, "uefi-http"),
    says: "Allow HTTP connections without TLS",
  },
  "another server's offer is taken": {
    rule: "taken-elsewhere",
    golden: true,
    siteEvents: [OTHER_SERVER],
    events: [
      discover(0, "uefi"),
      unanswered(0.2, "uefi", "request", {
        reason: "the client took the offer of another server, 10.0.0.9",
        because: "other-server",
      }),
    ],
    says: "dhcp.mode: proxy",
  },
  "a refusal is not followed by a new question": {
    rule: "refused",
    events: [refused(0, "system", "192.168.1.5 belongs to another network than the client is on")],
    says: "192.168.1.5 belongs to another network",
  },
  "the pool is empty": {
    rule: "no-address-left",
    siteEvents: [
      siteEvent(0, "dhcp.pool-empty", "10.0.0.0/24 has no address left: 90 of 90 leased", {
        interface: "lan0",
      }),
    ],
    events: [
      unanswered(0, "uefi", "discover", {
        reason: "no address to offer: every address of 10.0.0.0/24's pools is taken",
        because: "pool-empty",
      }),
    ],
    says: "→ Make a pool larger",
  },
  "the relay's network is not served": {
    rule: "wrong-subnet",
    events: [
      unanswered(0, "uefi", "discover", {
        reason: "10.9.0.1 is in no subnet that is served here",
        because: "no-subnet",
      }),
    ],
    says: "correct the relay's address",
  },
  "a lease cannot be written": {
    rule: "answer-not-sent",
    events: [
      discover(0, "uefi"),
      event(0.1, "dhcp.failed", "no answer was sent: the lease could not be written: ENOSPC"),
    ],
    says: "it asked, and no answer was sent: the lease could not be written: ENOSPC",
  },
  "an offer never arrives": {
    rule: "offer-not-taken",
    golden: true,
    events: [discover(0, "uefi"), discover(4, "uefi"), discover(12, "uefi"), discover(28, "uefi")],
    says: "DHCP snooping",
  },
  "a proxy's offer is not followed": {
    rule: "proxy-offer-not-taken",
    events: [discover(0, "uefi", { by: "proxy" })],
    says: "the ports dhcp.proxyPort and tftp.port",
  },
  "a silence by decision": {
    rule: "not-answered",
    events: [
      unanswered(0, "uefi", "discover", {
        reason: "hardware type 6 with 6 address bytes is neither Ethernet nor InfiniBand",
      }),
    ],
    says: "hardware type 6",
  },
  "only files were asked for": {
    rule: "only-files",
    events: [event(0, "http.done", "/chunks/3f2a, 1000 bytes", { path: "/chunks/3f2a", sizeBytes: 1000 })],
    says: "it asked for no address here",
  },
};
