import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { describeScript } from "../../src/pxe/boot-plan.ts";
import { renderAutoexecScript, renderIpxeScript } from "../../src/pxe/scripts.ts";

const RAMDISK = {
  kind: "ramdisk",
  kernelUrl: "http://10.0.0.1:8091/ramdisk/vmlinuz",
  initrdUrl: "http://10.0.0.1:8091/ramdisk/initrd.img",
  arguments: ["console=ttyS0,115200", "drp.token=abc-_1"],
  reason: "order i-1",
  order: { id: "i-1", attempts: 0 },
} as const;

function renderedOrRefused(render: () => string): string | undefined {
  try {
    return render();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

describe("renderIpxeScript()", () => {
  it("loads kernel and ramdisk, names the ramdisk for UEFI, and reboots when that fails", () => {
    expect(renderIpxeScript(RAMDISK)).toMatchInlineSnapshot(`
      "#!ipxe
      echo drp: loading the ramdisk
      kernel http://10.0.0.1:8091/ramdisk/vmlinuz initrd=ramdisk.img console=ttyS0,115200 drp.token=abc-_1 || goto failed
      initrd --name ramdisk.img http://10.0.0.1:8091/ramdisk/initrd.img || goto failed
      boot || goto failed
      :failed
      echo drp: the ramdisk did not load; trying again in 10 s
      sleep 10
      reboot
      "
    `);
  });

  it("starts the local disk the way of each firmware", () => {
    const plan = {
      kind: "disk",
      reason: "nothing to install",
      because: null,
      uefiLoaderUrl: "http://10.0.0.1:8091/loaders/local.efi",
    } as const;
    expect(renderIpxeScript(plan)).toMatchInlineSnapshot(`
      "#!ipxe
      echo drp: booting the local disk: nothing to install
      iseq \${platform} efi || goto bios
      chain http://10.0.0.1:8091/loaders/local.efi || echo drp: the local disk does not boot
      exit 1
      :bios
      sanboot --no-describe --drive 0x80 || echo drp: the local disk does not boot
      sleep 10
      exit 1
      "
    `);
  });

  it("shows a reason without letting it be more than text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), reason => {
        const lines = renderIpxeScript({ kind: "refused", reason }).split("\n");
        expect(lines).toHaveLength(5);
        expect(lines[1]).toMatch(/^echo drp: nothing to boot: [A-Za-z0-9 .,:()/@_+-]*$/);
      }),
    );
    expect(renderIpxeScript({ kind: "refused", reason: `\${net0/ip} || reboot\nreboot; & #` })).toContain(
      "echo drp: nothing to boot: --net0/ip- -- reboot-reboot- - -\n",
    );
  });

  it("holds no command but its own, whatever it is made of", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.stringMatching(/^[a-z0-9 ;|&${}\n"'\\#<>]{1,20}$/),
    );
    fc.assert(
      fc.property(fc.array(text), text, text, (words, url, reason) => {
        const plan = { ...RAMDISK, arguments: words, kernelUrl: `http://10.0.0.1/${url}`, reason };
        const script = renderedOrRefused(() => renderIpxeScript(plan));
        if (script === undefined) return;
        const commands = script.split("\n").map(line => line.split(" ", 1)[0]);
        expect(commands.join(" ")).toBe("#!ipxe echo kernel initrd boot :failed echo sleep reboot ");
        const [, , kernel = "", initrd = ""] = script.replaceAll(" || goto failed", "").split("\n");
        expect(`${kernel} ${initrd}`).toMatch(/^[A-Za-z0-9 _.,:=/@+%~?-]+$/);
      }),
    );
  });

  it.each(["a b", "a\nreboot", "a||reboot", `\${net0/mac}`, "a;b", "a&&b", "#a", '"', "'", "\\", "", "ü"])(
    "refuses the kernel argument or URL %j",
    text => {
      expect(() => renderIpxeScript({ ...RAMDISK, arguments: [text] })).toThrow(RangeError);
      expect(() => renderIpxeScript({ ...RAMDISK, kernelUrl: `http://host/${text} x` })).toThrow(RangeError);
      expect(() => renderIpxeScript({ ...RAMDISK, initrdUrl: text })).toThrow(RangeError);
    },
  );
});

describe("describeScript()", () => {
  it("says in which language, and for which order and attempt", () => {
    expect(describeScript(RAMDISK, "ipxe")).toEqual({
      kind: "script.ramdisk",
      summary: "boots the ramdisk: order i-1",
      facts: { format: "ipxe", intent: "i-1", attempts: 0 },
    });
    expect(describeScript({ kind: "refused", reason: "why" }, "grub")).toEqual({
      kind: "script.refused",
      summary: "why",
      facts: { format: "grub" },
    });
  });
});

describe("renderAutoexecScript()", () => {
  it("leads an iPXE that came without our script's URL to the machine's script", () => {
    expect(renderAutoexecScript("http://10.0.0.1:8091")).toBe(
      `#!ipxe\nchain http://10.0.0.1:8091/boot.ipxe?mac=\${netX/mac} || exit 1\n`,
    );
  });
});
