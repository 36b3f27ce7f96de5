/** Which slot GRUB takes: real GRUB on a BIOS machine whose slots hold no kernel, so that each case takes a second. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildDiskLoader } from "../../boot/disk-loader.ts";
import { type BootState, encodeGrubEnv, GRUB_ENV_BYTES } from "../../src/images/grub-env.ts";
import type { Slot } from "../../src/images/slot-config.ts";
import { makeAbDisk, readGrubEnv } from "./helpers/ab-disk.ts";
import { findBootTools } from "./helpers/boot-tools.ts";
import { bootUntil } from "./helpers/virtual-machine.ts";

const tools = await findBootTools();
const BOOT_SECONDS = 15;

describe.skipIf(typeof tools === "string")("grub.cfg", () => {
  let folder = "";
  let diskCount = 0;

  beforeAll(async () => {
    if (typeof tools === "string") return;
    folder = await mkdtemp(path.join(tmpdir(), "drp-grub-choice-"));
    await buildDiskLoader(tools, path.join(folder, "loader"));
  }, 60_000);
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function makeDisk(grubEnv: Uint8Array, emptySlot?: Slot): Promise<string> {
    if (typeof tools === "string") throw new Error(tools);
    const disk = path.join(folder, `disk-${diskCount++}.img`);
    const slots = { a: emptySlot === "a" ? null : {}, b: emptySlot === "b" ? null : {} };
    const loaderDir = path.join(folder, "loader");
    await makeAbDisk(disk, { grubEnv, slots, slotBytes: 4 * 1024 * 1024, loaderDir, packages: tools });
    return disk;
  }

  /** The slot that GRUB says it boots, and whether on trial. */
  async function chosenSlot(disk: string, readOnlyDisk = false): Promise<string> {
    const console = await bootUntil(
      { firmware: "bios", disk, readOnlyDisk },
      /slot [ab] \((on trial|confirmed)\) cannot be booted/,
      BOOT_SECONDS,
    );
    return /slot ([ab] \(.*?\)) cannot/.exec(console)?.[1] ?? "";
  }

  const state = (changes: Partial<BootState>): Buffer =>
    encodeGrubEnv({ confirmed: "a", trial: null, tries: 0, attempt: 7, ...changes });

  it.each([
    ["a confirmed, no trial", state({}), "a (confirmed)"],
    ["b confirmed, no trial", state({ confirmed: "b" }), "b (confirmed)"],
    ["b on trial with its try spent", state({ trial: "b", tries: 0 }), "a (confirmed)"],
    ["a on trial with its try spent", state({ confirmed: "b", trial: "a" }), "b (confirmed)"],
    ["b on trial", state({ trial: "b", tries: 1 }), "b (on trial)"],
    ["a on trial", state({ confirmed: "b", trial: "a", tries: 1 }), "a (on trial)"],
    ["a try but no trial slot", state({ confirmed: "b", tries: 1 }), "b (confirmed)"],
    ["an environment that is not one", Buffer.alloc(GRUB_ENV_BYTES, "x"), "a (confirmed)"],
  ])("with %s boots the right slot", async (_, grubEnv, expected) => {
    expect(await chosenSlot(await makeDisk(grubEnv))).toBe(expected);
  });

  it("takes the other slot when the confirmed one is said to be empty", async () => {
    expect(await chosenSlot(await makeDisk(Buffer.alloc(GRUB_ENV_BYTES), "a"))).toBe("b (confirmed)");
  });

  it("does not boot a trial slot that is said to be empty", async () => {
    const disk = await makeDisk(state({ trial: "b", tries: 1 }), "b");
    expect(await chosenSlot(disk)).toBe("b (on trial)");
    expect(await chosenSlot(disk)).toBe("a (confirmed)");
  });

  it("spends the try before it boots the trial slot, and changes nothing else", async () => {
    const disk = await makeDisk(state({ trial: "b", tries: 1 }));
    await chosenSlot(disk);
    expect(await readGrubEnv(disk)).toBe("confirmed=a\ntrial=b\ntries=0\nattempt=7\n");
    expect(await chosenSlot(disk)).toBe("a (confirmed)");
  });

  it("does not take a try that it cannot write down", async () => {
    const disk = await makeDisk(state({ trial: "b", tries: 1 }));
    expect(await chosenSlot(disk, true)).toBe("a (confirmed)");
    expect(await readGrubEnv(disk)).toContain("tries=1");
  });
});
