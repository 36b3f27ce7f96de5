/** From what a person typed to the one thing that is meant, or an error that names the candidates. */

import type { MachineRecord } from "../agent/hub/machine-record.ts";
import { DrpError } from "../core/errors.ts";
import { describeAmbiguity } from "../images/image-reference.ts";
import type { ImageRecord, ImageTagRecord, SiteRecord, Store } from "../store/ports.ts";

/** @param reference id, name or MAC address @throws {DrpError} machine.unknown */
export async function requireMachine(store: Store, reference: string): Promise<MachineRecord> {
  const machine = await store.findMachine(reference);
  if (machine !== undefined) return machine;
  throw new DrpError("machine.unknown", `no machine has the id, name or MAC address ${reference}`, {
    advice: "See which there are: drp machines list",
  });
}

/** @param reference id or name @throws {DrpError} site.unknown */
export async function requireSite(store: Store, reference: string): Promise<SiteRecord> {
  const site = await store.findSite(reference);
  if (site !== undefined) return site;
  throw new DrpError("site.unknown", `no site has the id or name ${reference}`, {
    advice: "See which there are: drp sites list",
  });
}

/**
 * @param reference digest, unique prefix, NAME:VERSION, NAME:TAG, unique version or unique tag
 * @throws {DrpError} image.unknown; request.invalid when several images fit
 */
export async function requireImage(store: Store, reference: string): Promise<ImageRecord> {
  const [image, ...others] = await store.findImages(reference);
  if (image === undefined) {
    throw new DrpError("image.unknown", `no image is called ${reference}`, {
      advice: "See which there are: drp images list",
    });
  }
  if (others.length > 0) {
    throw new DrpError("request.invalid", describeAmbiguity(reference, [image, ...others]), {
      advice: "Name the one that you mean by its digest.",
    });
  }
  return image;
}

/**
 * @param reference NAME:TAG, or TAG where one image name has it
 * @param options.orTakenAway also one that stands nowhere any more, by NAME:TAG
 * @throws {DrpError} not-found; request.invalid when several image names have such a tag
 */
export async function requireImageTag(
  store: Store,
  reference: string,
  options: { readonly orTakenAway?: boolean } = {},
): Promise<ImageTagRecord> {
  const [name = "", word] = reference.split(":");
  if (word !== undefined) {
    const tag = await store.findImageTag(name, word);
    if (tag !== undefined && (tag.digest !== null || options.orTakenAway === true)) return tag;
  }
  const [tag, ...others] = (await store.listImageTags()).filter(candidate => candidate.tag === reference);
  if (tag === undefined) {
    throw new DrpError("not-found", `no image has the tag ${reference}`, {
      advice: "See which there are: drp images tags",
    });
  }
  if (others.length === 0) return tag;
  const candidates = [tag, ...others].map(candidate => `${candidate.name}:${candidate.tag}`);
  throw new DrpError(
    "request.invalid",
    `${reference} fits ${candidates.length} tags: ${candidates.join(", ")}`,
    {
      advice: "Name the one that you mean with its image: NAME:TAG.",
    },
  );
}
