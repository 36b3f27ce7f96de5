/** What GRUB has to know of a slot, as a script that only sets variables: nothing in it can become a command. */
import type { Guid } from "./gpt.ts";
import type { ImageDigest } from "./manifest.ts";

export type Slot = "a" | "b";

export interface SlotContent {
  readonly partitionGuid: Guid;
  readonly digest: ImageDigest;
  readonly kernelArguments: readonly string[];
}

/** What the manifest's schema lets through; tested again because a quote here would be code at boot. */
const HARMLESS = /^[A-Za-z0-9_.,:=/@+-]*$/;

/**
 * @param content null for a slot that holds no image: GRUB finds no partition in it and boots the other one
 * @throws {RangeError} for a value that GRUB could read as anything but text
 */
export function encodeSlotConfig(content: SlotContent | null): string {
  return [
    setVariable("slot_partuuid", content === null ? [] : [content.partitionGuid]),
    setVariable("slot_digest", content === null ? [] : [content.digest]),
    setVariable("slot_arguments", content === null ? [] : content.kernelArguments),
  ].join("");
}

function setVariable(name: string, words: readonly string[]): string {
  const hostile = words.find(word => !HARMLESS.test(word));
  if (hostile !== undefined) throw new RangeError(`${name} cannot hold ${JSON.stringify(hostile)}`);
  return `set ${name}='${words.join(" ")}'\n`;
}
