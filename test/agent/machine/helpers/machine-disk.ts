/** The disk of an installed machine in a file, made by the installer's encoders, and what firmware and GRUB do with it. */
import { closeSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type MachineDisk, pickPartitions } from "../../../../src/agent/machine/io/machine-disk.ts";
import { planDisk } from "../../../../src/images/disk-plan.ts";
import { decodeGpt, type Extent, encodeGpt } from "../../../../src/images/gpt.ts";
import type { BootState } from "../../../../src/images/grub-env.ts";
import { planLoader } from "../../../../src/images/install-loader.ts";
import { readBootState, writeBootState } from "../../../../src/images/io/boot-volume.ts";
import type { Slot } from "../../../../src/images/slot-config.ts";
import { fakeLoader } from "../../../images/disk/loader-files.ts";
import type { TestImage } from "./test-image.ts";

const MIB = 1024 * 1024;

export class DiskFile {
  readonly path: string;
  readonly machineDisk: MachineDisk;

  /** Installed with `image` in slot A; slot B is empty. */
  constructor(folder: string, image: TestImage, sizeMib = 200) {
    this.path = join(folder, "disk");
    const disk = { path: this.path, sizeBytes: sizeMib * MIB, sectorBytes: 512, removable: false };
    let serial = 0;
    const planned = planDisk({
      disks: [disk],
      order: { intentId: "i-1", diskPath: null, wipe: false },
      imageBytes: image.rootfs.length,
      firmware: "uefi",
      randomBytes: count => Buffer.alloc(count, ++serial),
    });
    if (planned.kind === "refuse") throw new Error(planned.message);
    const { plan } = planned;
    const partitions = [...Object.values(plan.partitions)];
    const gpt = encodeGpt({ diskGuid: plan.diskGuid, partitions }, disk);
    const slotA = { partitionGuid: plan.partitions.a.guid, digest: image.digest, kernelArguments: [] };
    const file = openSync(this.path, "w");
    ftruncateSync(file, disk.sizeBytes);
    const rootfs: Extent = { offsetBytes: plan.partitions.a.offsetBytes, bytes: image.rootfs };
    for (const { offsetBytes, bytes } of [
      gpt.primaryHeader,
      ...gpt.rest,
      ...planLoader(plan, slotA, fakeLoader(), 1),
      rootfs,
    ]) {
      writeSync(file, bytes, 0, bytes.length, offsetBytes);
    }
    closeSync(file);
    const table = decodeGpt(this.#read(0, 34 * 512), 512) ?? [];
    this.machineDisk = pickPartitions(table, ({ offsetBytes, sizeBytes }) => ({
      path: this.path,
      offsetBytes,
      sizeBytes,
    }));
  }

  readSlot(slot: Slot, lengthBytes: number): Buffer {
    return this.#read(this.machineDisk.slots[slot].offsetBytes, lengthBytes);
  }

  async bootState(): Promise<BootState | null> {
    return await readBootState(this.machineDisk.esp);
  }

  async writeBootState(state: BootState): Promise<void> {
    await writeBootState(this.machineDisk.esp, state);
  }

  /** As grub.cfg chooses: takes the try before the trial boots. */
  async bootWithGrub(): Promise<{ slot: Slot; image: string }> {
    const state = await this.bootState();
    if (state === null) return { slot: "a", image: this.slotDigest("a") };
    if (state.trial !== null && state.tries === 1) {
      await this.writeBootState({ ...state, tries: 0 });
      if (this.slotDigest(state.trial) !== "")
        return { slot: state.trial, image: this.slotDigest(state.trial) };
    }
    return { slot: state.confirmed, image: this.slotDigest(state.confirmed) };
  }

  /** What slot-X.cfg says; empty: GRUB does not boot it. */
  slotDigest(slot: Slot): string {
    const { esp, slots } = this.machineDisk;
    const text = this.#read(esp.offsetBytes, 3 * MIB).toString("latin1");
    const configs = [...text.matchAll(/set slot_partuuid='(.*)'\nset slot_digest='(.*)'/g)];
    const [, guid = "", digest = ""] = configs[slot === "a" ? 0 : 1] ?? [];
    if (guid !== "" && guid !== slots[slot].partitionGuid)
      throw new Error(`slot ${slot} names partition ${guid}`);
    return digest;
  }

  #read(offsetBytes: number, lengthBytes: number): Buffer {
    const file = openSync(this.path, "r");
    const bytes = Buffer.alloc(lengthBytes);
    readSync(file, bytes, 0, lengthBytes, offsetBytes);
    closeSync(file);
    return bytes;
  }
}
