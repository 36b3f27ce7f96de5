import { existsSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { runLab } from "./lab-process.ts";
import { missingForLab } from "./missing-for-lab.ts";
import type { NetworkBoots } from "./network-boots.ts";
import { SECURE_OVMF } from "./virtual-machine.ts";

const missing =
  missingForLab() ??
  (existsSync(SECURE_OVMF) ? undefined : "Debian package ovmf has no Secure Boot firmware");
if (missing !== undefined) console.log(`lab skipped: ${missing}`);

describe.skipIf(missing !== undefined)("machines that are not known come into the ramdisk", () => {
  let seen: NetworkBoots["seen"];
  beforeAll(async () => {
    seen = await runLab<NetworkBoots["seen"]>("--network-boots");
  }, 10 * 60_000);

  test("under Secure Boot: firmware rejects iPXE, is given shim and GRUB instead, and the kernel is locked down", () => {
    const { events, console } = seen.secureBoot;
    expect(inOrder(events)).toEqual([
      "dhcp.offer snponly.efi",
      "tftp.done snponly.efi",
      "dhcp.offer shimx64.efi",
      "tftp.done shimx64.efi",
      "tftp.done grubx64.efi",
      "script.ramdisk",
      "tftp.done ramdisk/vmlinuz",
      "tftp.done ramdisk/initrd.img",
      "machine.registered",
    ]);
    expect(events.find(event => event.includes("shimx64.efi"))).toContain(
      "it fetched all of snponly.efi and did not start it, as firmware with Secure Boot does",
    );
    expect(console).toContain("drp: Secure Boot is on");
  });

  test("by UEFI HTTP boot, without an iPXE ROM: URL, iPXE, script", () => {
    expect(inOrder(seen.httpBoot.events)).toEqual([
      "dhcp.offer http://10.78.0.1:8091/loaders/snponly.efi",
      "http.size /loaders/snponly.efi",
      "http.done /loaders/snponly.efi",
      "dhcp.offer http://10.78.0.1:8091/boot.ipxe?mac=52:54:00:78:00:02",
      "script.ramdisk",
      "http.done /ramdisk/vmlinuz",
      "http.done /ramdisk/initrd.img",
      "machine.registered",
    ]);
  });

  test("beside another DHCP server, which gives the address: OVMF asks port 4011, iPXE takes the script", () => {
    expect(inOrder(seen.proxy.events)).toEqual([
      "proxy.offer snponly.efi",
      "proxy.ack snponly.efi",
      "tftp.done snponly.efi",
      "proxy.offer http://10.79.0.1:8091/boot.ipxe?mac=52:54:00:78:00:04",
      "script.ramdisk",
      "http.done /ramdisk/vmlinuz",
      "http.done /ramdisk/initrd.img",
      "machine.registered",
    ]);
  });

  test("an arm64 machine comes to GRUB and its script, which says that the ramdisk is for others", () => {
    expect(inOrder(seen.arm64.events)).toEqual([
      "dhcp.offer shimaa64.efi",
      "tftp.done shimaa64.efi",
      "tftp.done grubaa64.efi",
      "script.ramdisk",
    ]);
  });
});

/** What was offered, fetched and decided, each with the name in it; once each, without what firmware asks for in vain. */
function inOrder(events: readonly string[]): string[] {
  const told =
    /^(?:(?:dhcp|proxy)\.(?:offer|ack)|tftp\.done|http\.(?:size|done)|script\.\w+|machine\.registered)/;
  const name = /(?:http:\/\/\S+|\/?(?:loaders|ramdisk)\/[\w.-]+|[\w.-]+\.efi)$/;
  const steps = events.flatMap(event => {
    const kind = told.exec(event)?.[0];
    if (kind === undefined || kind === "dhcp.ack") return [];
    if (kind === "script.ramdisk" || kind === "machine.registered") return [kind];
    const subject = /^\S+ (\S+?)[:,] /.exec(event)?.[1];
    const said = kind.endsWith(".offer") || kind.endsWith(".ack") ? name.exec(event)?.[0] : subject;
    const size = kind === "http.size" ? /size of (\S+),/.exec(event)?.[1] : said;
    return size === undefined || size === "grub/grub.cfg" ? [] : [`${kind} ${size}`];
  });
  return steps.filter((step, index) => steps.indexOf(step) === index);
}
