/** What GRUB has to know of a slot, as a script that only sets variables: nothing in it can become a command. */
import type { Guid } from "./gpt.ts";
import type { ImageDigest } from "./manifest.ts";

export type Slot = "a" | "b";

export function isSlot(text: string | undefined): text is Slot {
  return text === "a" || text === "b";
}

export function otherSlot(slot: Slot): Slot {
  return slot === "a" ? "b" : "a";
}

export interface SlotContent {
  readonly partitionGuid: Guid;
  readonly digest: ImageDigest;
  readonly kernelArguments: readonly string[];
}

/** One size for every content, so that the file is rewritten in place. A kernel reads 2,048 bytes of arguments at most. */
const SLOT_CONFIG_BYTES = 4096;

/** What the manifest's schema lets through; tested again because a quote here would be code at boot. */
const HARMLESS = /^[A-Za-z0-9_.,:=/@+-]*$/;

/**
 * @param content null for a slot that holds no image: GRUB finds no partition in it and boots the other one
 * @returns SLOT_CONFIG_BYTES characters, the last line a comment
 * @throws {RangeError} for a value that GRUB could read as anything but text, or arguments that no kernel takes
 */
export function encodeSlotConfig(content: SlotContent | null): string {
  const text = [
    setVariable("slot_partuuid", content === null ? [] : [content.partitionGuid]),
    setVariable("slot_digest", content === null ? [] : [content.digest]),
    setVariable("slot_arguments", content === null ? [] : content.kernelArguments),
  ].join("");
  if (text.length >= SLOT_CONFIG_BYTES) throw new RangeError(`the slot's kernel arguments are too long`);
  return `${text.padEnd(SLOT_CONFIG_BYTES - 1, "#")}\n`;
}

function setVariable(name: string, words: readonly string[]): string {
  const hostile = words.find(word => !HARMLESS.test(word));
  if (hostile !== undefined) throw new RangeError(`${name} cannot hold ${JSON.stringify(hostile)}`);
  return `set ${name}='${words.join(" ")}'\n`;
}
