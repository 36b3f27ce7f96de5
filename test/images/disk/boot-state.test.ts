import { describe, expect, test } from "vitest";
import type { Guid } from "../../../src/images/gpt.ts";
import { type BootState, decodeGrubEnv, encodeGrubEnv } from "../../../src/images/grub-env.ts";
import { encodeSlotConfig, type SlotContent } from "../../../src/images/slot-config.ts";

const CONTENT: SlotContent = {
  partitionGuid: "01234567-89ab-4def-8123-456789abcdef" as Guid,
  digest: `sha256:${"0f".repeat(32)}`,
  kernelArguments: ["console=ttyS0,115200", "quiet"],
};

describe("encodeGrubEnv()", () => {
  test("is 1024 bytes, padded as GRUB pads", () => {
    const block = encodeGrubEnv({ confirmed: "a", trial: null, tries: 0, attempt: 0 });
    expect(block.length).toBe(1024);
    expect(block.toString()).toMatch(
      /^# GRUB Environment Block\nconfirmed=a\ntrial=\ntries=0\nattempt=0\n#+$/,
    );
  });

  test("keeps the variables in the first sector however large the numbers", () => {
    const state = { confirmed: "b", trial: "a", tries: 1, attempt: Number.MAX_SAFE_INTEGER } as const;
    const text = encodeGrubEnv(state).toString();
    expect(text.lastIndexOf("\n")).toBeLessThan(512);
    expect(text).toContain("trial=a\n");
  });
});

describe("decodeGrubEnv()", () => {
  test.each<BootState>([
    { confirmed: "a", trial: null, tries: 0, attempt: 0 },
    { confirmed: "b", trial: "a", tries: 1, attempt: 12 },
    { confirmed: "a", trial: "b", tries: 0, attempt: Number.MAX_SAFE_INTEGER },
  ])("gives back %o", state => {
    expect(decodeGrubEnv(encodeGrubEnv(state))).toEqual(state);
  });

  test.each([
    ["zeros", Buffer.alloc(1024)],
    ["nothing", Buffer.alloc(0)],
    ["another slot", Buffer.from("# GRUB Environment Block\nconfirmed=c\ntrial=b\ntries=1\nattempt=1\n")],
    ["an attempt that is no number", Buffer.from("# GRUB Environment Block\nconfirmed=a\nattempt=x\n")],
  ])("makes nothing of %s", (_, block) => {
    expect(decodeGrubEnv(block)).toBeNull();
  });
});

describe("encodeSlotConfig()", () => {
  const readable = (text: string) => text.replace(/^#+\n$/m, "");

  test("has one size whatever it holds, so that it is rewritten in place", () => {
    expect(encodeSlotConfig(CONTENT).length).toBe(4096);
    expect(encodeSlotConfig(null).length).toBe(4096);
    expect(encodeSlotConfig(null)).toMatch(/\n#+\n$/);
    const tooLong = { ...CONTENT, kernelArguments: Array(20).fill(`x=${"y".repeat(250)}`) };
    expect(() => encodeSlotConfig(tooLong)).toThrow("too long");
  });

  test("sets three variables", () => {
    expect(readable(encodeSlotConfig(CONTENT))).toMatchInlineSnapshot(`
      "set slot_partuuid='01234567-89ab-4def-8123-456789abcdef'
      set slot_digest='sha256:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f'
      set slot_arguments='console=ttyS0,115200 quiet'
      "
    `);
  });

  test("of an empty slot names no partition", () => {
    expect(readable(encodeSlotConfig(null))).toMatchInlineSnapshot(`
      "set slot_partuuid=''
      set slot_digest=''
      set slot_arguments=''
      "
    `);
  });

  test.each(["x'y", "a b", "$x", "a;reboot", "a\nreboot", '"', "\\", "`id`", "{"])(
    "refuses the argument %j, which GRUB could run",
    hostile => {
      expect(() => encodeSlotConfig({ ...CONTENT, kernelArguments: [hostile] })).toThrow(
        "slot_arguments cannot hold",
      );
    },
  );
});
