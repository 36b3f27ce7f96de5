/** A machine's own disk, from firmware to user space: GRUB, kernel, initrd, the minimal golden image. */
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildDiskLoader } from "../../boot/disk-loader.ts";
import { buildMinimalRootfs } from "../../boot/images/minimal/build.ts";
import { encodeGrubEnv } from "../../src/images/grub-env.ts";
import { makeAbDisk, SLOT_DIGESTS } from "./helpers/ab-disk.ts";
import { findBootTools, PACKAGE_CACHE } from "./helpers/boot-tools.ts";
import { bootUntil } from "./helpers/virtual-machine.ts";

const tools = await findBootTools();
/** Seen: 12 s by BIOS, 15 s by UEFI on two idle cores; other tests may keep them busy. */
const BOOT_SECONDS = 90;

/** Stands in for the machine agent: says where it runs. */
const AGENT = `#!/bin/sh
/usr/lib/drp/health/app
echo "agent: $* | $(cat /etc/drp-release) | $(grep -o 'drp.slot=.*' /proc/cmdline) | health $?"
grep -E ' /(drp-data)? ' /proc/mounts
echo "agent: end"
sleep 1000
`;

describe.skipIf(typeof tools === "string")("the disk of an A/B machine", () => {
  let folder = "";
  let disk = "";

  beforeAll(async () => {
    if (typeof tools === "string") return;
    folder = await mkdtemp(path.join(tmpdir(), "drp-disk-boot-"));
    disk = path.join(folder, "disk.img");
    const agent = path.join(folder, "agent");
    await writeFile(agent, AGENT);
    await chmod(agent, 0o755);
    for (const version of ["v1", "v2"]) {
      await buildMinimalRootfs({
        drp: agent,
        cache: PACKAGE_CACHE,
        out: path.join(folder, version),
        version,
        healthy: version === "v1",
      });
    }
    const loaderDir = path.join(folder, "loader");
    await buildDiskLoader(tools, loaderDir);
    await makeAbDisk(disk, {
      grubEnv: encodeGrubEnv({ confirmed: "a", trial: "b", tries: 1, attempt: 1 }),
      slots: { a: { rootfs: path.join(folder, "v1") }, b: { rootfs: path.join(folder, "v2") } },
      slotBytes: 64 * 1024 * 1024,
      loaderDir,
      packages: tools,
    });
  }, 180_000);
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it(
    "boots the trial slot by BIOS, its root read-only, drp-data of the same disk beside it",
    async () => {
      const console = await bootUntil({ firmware: "bios", disk }, /agent: end/, BOOT_SECONDS);
      expect(console).toContain(
        `agent: machine run | minimal v2 | drp.slot=b drp.digest=${SLOT_DIGESTS.b} panic=10`,
      );
      expect(console).toMatch(/\/dev\/vda4 \/ ext4 ro,.*norecovery/);
      expect(console).toMatch(/\/dev\/vda5 \/drp-data ext4 rw,/);
    },
    BOOT_SECONDS * 1000,
  );

  it(
    "boots the confirmed slot by UEFI when the trial was not confirmed",
    async () => {
      const console = await bootUntil({ firmware: "uefi", disk }, /agent: end/, BOOT_SECONDS);
      expect(console).toContain(`agent: machine run | minimal v1 | drp.slot=a drp.digest=${SLOT_DIGESTS.a}`);
      expect(console).toMatch(/\/dev\/vda3 \/ ext4 ro,/);
    },
    BOOT_SECONDS * 1000,
  );
});
