/** From what a person typed to the one thing that is meant, or an error that names the candidates. */

import type { MachineRecord } from "../agent/hub/machine-record.ts";
import { shortDigest } from "../core/bytes.ts";
import { DrpError } from "../core/errors.ts";
import type { ImageRecord, SiteRecord, Store } from "../store/ports.ts";

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
 * @param reference digest, unique prefix, NAME:VERSION or unique version
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
    const candidates = [image, ...others].map(
      ({ name, version, digest }) => `${name}:${version} ${shortDigest(digest)}`,
    );
    throw new DrpError(
      "request.invalid",
      `${reference} fits ${candidates.length} images: ${candidates.join(", ")}`,
      {
        advice: "Name the one that you mean by its digest.",
      },
    );
  }
  return image;
}
