/**
 * Our side of the benchmark `stream`: the machine agent's way from boot HTTP to the disk, for a new file in a disk's place.
 * `node stream-ours.ts BOOT_URL PAYLOAD_JSON DISK PAST [agent]` prints what it took as JSON. With "agent" all that the ramdisk's
 * agent loads is in memory too.
 */
import { closeSync, openSync, readFileSync, truncateSync } from "node:fs";
import { createFrameFetcher } from "../src/agent/machine/io/boot-http.ts";
import { Disk } from "../src/images/io/disk.ts";
import { fillSlot, verifySlot } from "../src/images/io/install-slot.ts";
import type { Payload } from "../src/images/manifest.ts";
import type { SlotPast } from "../src/images/slot-fill.ts";
import { peakMemoryBytes } from "./peak-memory.ts";

export interface StreamOutcome {
  /** From the process's start to the first request. */
  readonly startMs: number;
  /** Until the disk has everything. */
  readonly fillMs: number;
  /** Of reading it back and comparing, which the whole agent does. */
  readonly verifyMs: number;
  /** The most that was resident. */
  readonly peakBytes: number;
}

const [bootUrl = "", payloadPath = "", diskPath = "", past = "", agent] = process.argv.slice(2);
if (agent === "agent") await import("../src/agent/machine/io/install.ts");
const payload = JSON.parse(readFileSync(payloadPath, "utf8")) as Payload;
closeSync(openSync(diskPath, "a"));
truncateSync(diskPath, payload.sizeBytes);

const frames = createFrameFetcher(bootUrl, line => console.error(line));
const startMs = performance.now();
await using disk = await Disk.open(diskPath, payload.sizeBytes, "write");
const slot = { disk, slotOffsetBytes: 0, payload, fetchFrame: frames.fetchFrame };
await fillSlot({ ...slot, past: past as SlotPast, onBytesDone: () => undefined });
frames.close();
const filledMs = performance.now();
if (agent === "agent") await verifySlot(disk, 0, payload, () => undefined);
const outcome: StreamOutcome = {
  startMs,
  fillMs: filledMs - startMs,
  verifyMs: performance.now() - filledMs,
  peakBytes: peakMemoryBytes(),
};
console.log(JSON.stringify(outcome));
