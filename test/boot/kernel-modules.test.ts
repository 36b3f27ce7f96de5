import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { isElf, readModuleNotes, readNeededLibraries } from "../../boot/elf.ts";
import { FileTree } from "../../boot/file-tree.ts";
import { addKernelModules, findKernel, type Kernel } from "../../boot/kernel-modules.ts";
import { findBootTools } from "./helpers/boot-tools.ts";

const tools = await findBootTools();

describe.skipIf(typeof tools === "string")("Debian's kernel modules", async () => {
  if (typeof tools === "string") return;
  const kernel = await findKernel(tools.kernel.root);

  it("bring what they depend on, listed so that the last is loaded first", async () => {
    const table = await tableOf(kernel, "modules.dep", ["ahci"]);
    const line =
      table.split("\n").find(candidate => candidate.startsWith("kernel/drivers/ata/ahci.ko:")) ?? "";
    const order = line.split(" ").map(file => path.basename(file, ".ko"));
    expect(order.slice(1)).toEqual(["libahci", "libata", "scsi_mod", "scsi_common"]);
  });

  it("bring what they ask for without depending on it", async () => {
    expect(await tableOf(kernel, "modules.dep", ["r8169"])).toMatch(/r8169\.ko:.* \S+\/realtek\.ko/);
  });

  it("are found by the names of the devices that they drive", async () => {
    const table = await tableOf(kernel, "modules.alias", ["virtio-net"]);
    expect(table).toContain("alias virtio:d00000001v* virtio_net\n");
  });

  it("are refused by name when the kernel has none such", async () => {
    await expect(addKernelModules(new FileTree(), kernel, ["virtio_toaster"])).rejects.toThrow(
      "no module virtio_toaster",
    );
  });

  it("carry notes that readModuleNotes() reads", () => {
    const notes = readModuleNotes(readFileSync(path.join(kernel.modulesDir, "kernel/fs/fat/vfat.ko")));
    expect(notes).toContainEqual(["alias", "fs-vfat"]);
    expect(notes).toContainEqual(["depends", "fat"]);
  });
});

describe("readNeededLibraries()", () => {
  it("reads what this Node.js asks for", () => {
    const node = readFileSync(process.execPath);
    expect(isElf(node)).toBe(true);
    expect(readNeededLibraries(node)).toEqual(expect.arrayContaining(["libc.so.6", "libstdc++.so.6"]));
  });
});

async function tableOf(kernel: Kernel, name: string, modules: readonly string[]): Promise<string> {
  const tree = new FileTree();
  await addKernelModules(tree, kernel, modules);
  const entry = [...tree.cpioEntries()].find(({ path }) => path.endsWith(`/${name}`));
  return entry?.kind === "file" ? Buffer.from(entry.contents).toString() : "";
}
