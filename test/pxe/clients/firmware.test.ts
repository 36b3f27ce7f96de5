/**
 * Real firmware in QEMU against our server: iPXE as the ROM of a BIOS machine up to its script; and on a UEFI machine, one
 * after another, iPXE as the card's EFI driver, OVMF's PXE and OVMF's HTTP boot, each up to its last byte. No machine starts
 * anything here: the script refuses it, and what it fetches is no loader. The lab boots machines for good.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, it } from "vitest";
import { captureIn } from "../../helpers/pcap/capture-in.ts";
import { missingForLab } from "../../lab/missing-for-lab.ts";
import { createNamespace, startRouter } from "../../lab/namespace.ts";
import { createMachine, type Firmware } from "../../lab/virtual-machine.ts";
import { startBootServer } from "./helpers/boot-server.ts";
import { expectExchange } from "./helpers/golden.ts";
import { whyNoCaptures } from "./helpers/programs.ts";
import { startBootHttpIn } from "./helpers/running-program.ts";

const missing = whyNoCaptures() ?? missingForLab();
if (missing !== undefined) console.warn(`skipped: exchanges with firmware: ${missing}`);

/** OVMF tries its boot options in turn: 31 s here, under emulation, on two cores that others use too. */
const TIMEOUT_MS = 180_000;

describe.skipIf(missing !== undefined)("firmware", () => {
  let folder = "";

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "drp-firmware-"));
  });
  afterAll(async () => await rm(folder, { recursive: true }));

  it("iPXE as a BIOS ROM asks for its script", { timeout: TIMEOUT_MS }, async () => {
    await expectBoot("bios", "script.refused", "firmware-ipxe-bios-rom");
  });

  it("iPXE as an EFI driver, then OVMF's PXE, then its HTTP boot", { timeout: TIMEOUT_MS }, async () => {
    await expectBoot("uefi", "http.done", "firmware-ipxe-efi-and-ovmf");
  });

  /** @param lastEvent of boot HTTP: the machine is switched off after it */
  async function expectBoot(firmware: Firmware, lastEvent: string, golden: string): Promise<void> {
    await using namespace = await createNamespace(firmware[0] ?? "");
    await namespace.addBridge("br0", "10.77.0.1/16");
    const at = { serverNamespace: namespace.name };
    await using server = await startBootServer(at, { interfaceName: "br0" });
    await using http = await startBootHttpIn(namespace.name, "10.77.0.1", join(server.folder, "loader"));
    await using _router = await startRouter(namespace, folder);
    await using capture = await captureIn(namespace.name, "br0");
    const spec = { name: firmware, firmware, mac: "52:54:00:00:77:01" };
    const machine = await createMachine(namespace, folder, spec);
    await using _power = machine.powerOn();
    await http.untilPrinted(`${lastEvent}\n`);
    await expectExchange(capture, golden);
  }
});
