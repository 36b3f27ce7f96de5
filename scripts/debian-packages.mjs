/** The Debian packages that tests, lab and build call by their commands, and what is lost without each. */
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** [command or file that shows it, package, what is lost without it] */
const PACKAGES = [
  ["strip", "binutils", "dist/drp is 15 MB larger"],
  ["mkfs.ext4", "e2fsprogs", "images cannot be built"],
  ["mkfs.fat", "dosfstools", "the disk layout is not tested"],
  ["sfdisk", "fdisk", "partition tables are not checked by an independent reader"],
  ["cpio", "cpio", "ramdisk archives are not checked by an independent reader"],
  ["busybox", "busybox-static", "ramdisk archives are not checked by an independent reader"],
  ["ip", "iproute2", "no network namespaces: no client tests, no lab"],
  ["/usr/lib/grub/i386-pc/boot.img", "grub-pc-bin", "GRUB's patched boot sectors are not checked"],
  ["qemu-system-x86_64", "qemu-system-x86", "no lab"],
  ["/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf", "no UEFI machine in the lab"],
  ["/usr/lib/ipxe/qemu/efi-virtio.rom", "ipxe-qemu", "no network boot in the lab"],
  ["radvd", "radvd", "network boots in the lab take 16 s longer"],
  ["/usr/bin/chromium", "chromium", "the dashboard is not tested in a browser"],
  ["perfdhcp", "kea-admin", "DHCP is not tested under load"],
  ["dhclient", "isc-dhcp-client", "DHCP is not tested with ISC's client"],
  ["dnsmasq", "dnsmasq-base", "neither ProxyDHCP nor a second DHCP server is tested beside a real one"],
  ["udhcpc", "udhcpc", "DHCP is not tested with busybox's client"],
  ["curl", "curl", "boot HTTP is not tested with curl"],
  ["atftp", "atftp", "TFTP is not tested with atftp"],
  ["tftp", "tftp-hpa", "TFTP is not tested with tftp-hpa"],
  [
    "tcpdump",
    "tcpdump",
    "what independent clients and we say to each other is not compared with its golden text",
  ],
];

/** Installs what is missing where this user may, and says what could not be had and what is lost. */
export function ensureDebianPackages() {
  const missing = PACKAGES.filter(([probe]) => !isPresent(probe));
  if (missing.length === 0) return;
  const names = missing.map(([, name]) => name);
  if (process.getuid() === 0 && isPresent("apt-get")) {
    console.error(`drp: installing Debian packages: ${names.join(" ")} …`);
    const apt = args =>
      spawnSync("apt-get", args, {
        env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
        stdio: ["ignore", "ignore", "inherit"],
      });
    apt(["update", "-q"]);
    apt(["install", "-q", "-y", "--no-install-recommends", ...names]);
  }
  for (const [probe, name, loss] of missing) {
    if (!isPresent(probe)) console.error(`drp: Debian package ${name} is missing: ${loss}`);
  }
}

function isPresent(probe) {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  const files = probe.startsWith("/") ? [probe] : folders.map(folder => join(folder, probe));
  return files.some(file => {
    try {
      accessSync(file, constants.R_OK);
      return true;
    } catch {
      return false;
    }
  });
}
