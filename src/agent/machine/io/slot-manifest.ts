/** The manifest of the running slot, as the install or the update left it. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { imageDigest } from "../../../images/digest.ts";
import type { Manifest } from "../../../images/manifest.ts";
import { parseManifest } from "../../../images/parse-manifest.ts";
import type { RunArguments } from "../kernel-arguments.ts";

export function slotManifestPath(home: string, { slot }: Pick<RunArguments, "slot">): string {
  return join(home, "slots", slot, "manifest.json");
}

/** @throws when it cannot be read, or is not the booted image's */
export async function readSlotManifest(
  home: string,
  running: Pick<RunArguments, "slot" | "image">,
): Promise<Manifest> {
  const text = await readFile(slotManifestPath(home, running), "utf8");
  if (imageDigest(text) !== running.image) {
    throw new Error(`it describes ${imageDigest(text)}, and ${running.image} is running`);
  }
  return parseManifest(text);
}
