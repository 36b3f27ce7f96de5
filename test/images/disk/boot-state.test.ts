import { describe, expect, test } from "vitest";
import type { Guid } from "../../../src/images/gpt.ts";
import { encodeGrubEnv } from "../../../src/images/grub-env.ts";
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

describe("encodeSlotConfig()", () => {
  test("sets three variables", () => {
    expect(encodeSlotConfig(CONTENT)).toMatchInlineSnapshot(`
      "set slot_partuuid='01234567-89ab-4def-8123-456789abcdef'
      set slot_digest='sha256:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f'
      set slot_arguments='console=ttyS0,115200 quiet'
      "
    `);
  });

  test("of an empty slot names no partition", () => {
    expect(encodeSlotConfig(null)).toMatchInlineSnapshot(`
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
