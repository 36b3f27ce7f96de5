/** How people name images: by digest, a prefix of it, NAME:VERSION, NAME:TAG, or either alone where one image fits. */
import { z } from "zod";
import { shortDigest } from "../core/bytes.ts";
import type { ImageDigest } from "./manifest.ts";

/** As long as a version; what reads like the beginning of a digest would hide the image that has it. */
export const imageTagSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, "letters, digits, dot, dash and underscore, at most 63")
  .refine(tag => !/^[0-9a-f]{4,64}$/.test(tag), "reads like the beginning of a digest");

export interface NamedImage {
  readonly digest: ImageDigest;
  readonly name: string;
  readonly version: string;
}

/** @param image that `reference` was found to mean @returns the tag by which it was meant; undefined: by something else */
export function tagIn(reference: string, image: NamedImage): string | undefined {
  const word = reference.slice(reference.indexOf(":") + 1);
  return word !== image.version && imageTagSchema.safeParse(word).success ? word : undefined;
}

/** "v2 fits 2 images: app:v2 sha256:0123456789ab, db:v2 sha256:…" */
export function describeAmbiguity(reference: string, images: readonly NamedImage[]): string {
  const candidates = images.map(image => {
    const tag = tagIn(reference, image);
    const name = `${image.name}:${image.version} ${shortDigest(image.digest)}`;
    return tag === undefined ? name : `${name} (by its tag ${tag})`;
  });
  return `${reference} fits ${images.length} images: ${candidates.join(", ")}`;
}
