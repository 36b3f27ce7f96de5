import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { BootPlan } from "../../src/pxe/boot-plan.ts";
import { renderGrubScript } from "../../src/pxe/grub-script.ts";

const RAMDISK = {
  kind: "ramdisk",
  kernelUrl: "http://10.0.0.1:8091/ramdisk/vmlinuz",
  initrdUrl: "http://10.0.0.1:8091/ramdisk/initrd.img",
  arguments: ["console=ttyS0,115200", "drp.token=abc-_1"],
  reason: "order i-1",
  order: null,
} as const;

const text = fc.oneof(fc.string({ unit: "binary" }), fc.stringMatching(/^[a-z0-9 ;|&${}()\n"'\\#<>]{1,20}$/));

const hasGrubCheck = spawnSync("grub-script-check", ["--version"]).status === 0;
if (!hasGrubCheck) console.log("GRUB's own parser is not asked: Debian package grub-common is missing");

describe("renderGrubScript()", () => {
  it("loads kernel and ramdisk by TFTP, on the processor that they are for, and reboots when that fails", () => {
    expect(renderGrubScript(RAMDISK, "10.0.0.1")).toMatchInlineSnapshot(`
      "if [ "$grub_cpu" != x86_64 ]; then
        echo 'drp: the ramdisk of this site is for x86_64 machines'
        sleep 10
        exit
      fi
      echo 'drp: loading the ramdisk'
      if linux '(tftp,10.0.0.1)/ramdisk/vmlinuz' 'console=ttyS0,115200' 'drp.token=abc-_1'; then
        if initrd '(tftp,10.0.0.1)/ramdisk/initrd.img'; then boot; fi
      fi
      echo 'drp: the ramdisk did not load; trying again in 10 s'
      sleep 10
      reboot
      "
    `);
  });

  it("starts the local disk, ours first, and leaves to the firmware when it does not start", () => {
    const plan: BootPlan = {
      kind: "disk",
      reason: "nothing to install",
      because: null,
      uefiLoaderUrl: "http://10.0.0.1/x",
    };
    expect(renderGrubScript(plan, "10.0.0.1")).toMatchInlineSnapshot(`
      "echo 'drp: booting the local disk: nothing to install'
      if [ "$grub_cpu" = arm64 ]; then set loader=/EFI/BOOT/BOOTAA64.EFI; else set loader=/EFI/BOOT/BOOTX64.EFI; fi
      for mark in /drp/grub.cfg $loader; do
        if search --no-floppy --file --set=root $mark; then
          if chainloader $loader; then boot; fi
        fi
      done
      echo 'drp: the local disk does not boot from here; the firmware goes on'
      sleep 10
      exit
      "
    `);
  });

  it("shows a reason without letting it be more than text", () => {
    fc.assert(
      fc.property(text, reason => {
        const lines = renderGrubScript({ kind: "refused", reason }, "10.0.0.1").split("\n");
        expect(lines).toHaveLength(4);
        expect(lines[0]).toMatch(/^echo 'drp: nothing to boot: [A-Za-z0-9 .,:()/@_+-]*'$/);
        expect(lines.slice(1)).toEqual(["sleep 10", "exit", ""]);
      }),
    );
  });

  it("holds no command but its own, whatever it is made of", () => {
    const shape = shapeOf(renderGrubScript({ ...RAMDISK, arguments: [] }, "10.0.0.1"));
    fc.assert(
      fc.property(fc.array(text), text, text, (words, url, address) => {
        const plan = { ...RAMDISK, arguments: words, kernelUrl: `http://10.0.0.1/${url}` };
        const script = renderedOrRefused(() => renderGrubScript(plan, address));
        if (script !== undefined) expect(shapeOf(script)).toBe(shape);
      }),
    );
  });

  it.each([
    "a b",
    "a\nreboot",
    "a;reboot",
    "$root",
    "${root}",
    "'",
    '"',
    "\\",
    "#a",
    "a|b",
    "a&b",
    "{",
    "<x",
    "",
    "ü",
  ])("refuses the kernel argument, URL or address %j", word => {
    expect(() => renderGrubScript({ ...RAMDISK, arguments: [word] }, "10.0.0.1")).toThrow(RangeError);
    expect(() => renderGrubScript(RAMDISK, word)).toThrow(RangeError);
    const kernelUrl = `http://host/${word} x`;
    expect(() => renderGrubScript({ ...RAMDISK, kernelUrl }, "10.0.0.1")).toThrow(RangeError);
  });

  it.skipIf(!hasGrubCheck)("is a script to GRUB's own parser", () => {
    const plans: BootPlan[] = [
      RAMDISK,
      { kind: "disk", reason: "it's done; really", because: null, uefiLoaderUrl: "http://10.0.0.1/x" },
      { kind: "refused", reason: "`$x` {" },
    ];
    for (const plan of plans) {
      const checked = spawnSync("grub-script-check", { input: renderGrubScript(plan, "10.0.0.1") });
      expect(checked.stderr.toString()).toBe("");
      expect(checked.status).toBe(0);
    }
  });
});

/** The script without what stands in single quotes, in which GRUB expands nothing (GRUB manual, "Quoting"). */
function shapeOf(script: string): string {
  return script.replaceAll(/'[^']*'/g, "X").replaceAll(/X( X)*/g, "X");
}

function renderedOrRefused(render: () => string): string | undefined {
  try {
    return render();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
