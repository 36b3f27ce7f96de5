/**
 * Real firmware in QEMU against our server: iPXE as the ROM of a BIOS machine up to its script, and OVMF's PXE up to its
 * loader's last byte. No machine starts anything here: the script refuses it, and what it fetches is no loader. The lab boots
 * machines for good.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, it, onTestFinished } from "vitest";
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

/** OVMF needs 12 s here under emulation, more where others keep the cores busy. */
const TIMEOUT_MS = 120_000;

describe.skipIf(missing !== undefined)("firmware", () => {
  let folder = "";

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "drp-firmware-"));
  });
  afterAll(async () => await rm(folder, { recursive: true }));

  it("iPXE as a BIOS ROM asks for its script", { timeout: TIMEOUT_MS }, async () => {
    const { http, capture } = await powerOn("bios");
    await http.untilPrinted("script.refused\n");
    await expectExchange(capture, "firmware-ipxe-bios-rom");
  });

  it("OVMF's PXE fetches its loader in windows", { timeout: TIMEOUT_MS }, async () => {
    const { server, capture } = await powerOn("uefi");
    await server.untilEvent(event => event.kind === "tftp.done");
    // What it fetched is no loader, so it goes on to HTTP boot at once.
    await expectExchange(capture, "firmware-ovmf-pxe", { before: /^.* DISCOVER xid#2 /m });
  });

  /** All of it ends with the test, whatever becomes of the test. */
  async function powerOn(firmware: Firmware) {
    const stack = new AsyncDisposableStack();
    onTestFinished(() => stack.disposeAsync());
    const namespace = stack.use(await createNamespace(firmware[0] ?? ""));
    await namespace.addBridge("br0", "10.77.0.1/16");
    const at = { serverNamespace: namespace.name };
    const server = stack.use(await startBootServer(at, { interfaceName: "br0" }));
    const file = join(server.folder, "loader");
    const http = stack.use(await startBootHttpIn(namespace.name, "10.77.0.1", file));
    stack.use(await startRouter(namespace, folder));
    const capture = stack.use(await captureIn(namespace.name, "br0"));
    // With iPXE on the card of the BIOS machine only: UEFI's own network boot then comes first.
    const spec = { name: firmware, firmware, mac: "52:54:00:00:77:01", optionRom: firmware === "bios" };
    stack.use((await createMachine(namespace, folder, spec)).powerOn());
    return { server, http, capture };
  }
});
