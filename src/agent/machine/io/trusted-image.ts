/** An image's description from the site. Nothing in it counts until it is the wanted one and signed by a pinned key. */
import type { Architecture } from "../../../core/architecture.ts";
import { DrpError } from "../../../core/errors.ts";
import { imageDigest } from "../../../images/digest.ts";
import type { TrustedKey } from "../../../images/keys.ts";
import type { ImageDigest, Manifest, Payload } from "../../../images/manifest.ts";
import { describeReleaseGap } from "../../../images/release-gap.ts";
import { verifyManifest } from "../../../images/signature.ts";
import { type SignedManifest, signedManifestSchema } from "../../protocol.ts";
import type { Say } from "./console.ts";
import { retryWhileUnreachable } from "./retry.ts";
import type { SiteClient } from "./site-client.ts";

export interface TrustedImage {
  readonly signed: SignedManifest;
  readonly manifest: Manifest;
  /** Fills a slot. */
  readonly payload: Payload;
}

export interface ImageRequest {
  readonly client: SiteClient;
  readonly digest: ImageDigest;
  readonly trustedKeys: readonly TrustedKey[];
  readonly architecture: Architecture;
  /** What the image is to replace, when the data partition stays; null: nobody can say. */
  readonly replaces?: Manifest | null;
  readonly say: Say;
  /** Ends the waiting for a site that is away. */
  readonly signal?: AbortSignal;
}

/** @throws {DrpError} signature.rejected, bundle.tampered, image.wrong-architecture, image.release-gap, version.unsupported, or the site's refusal */
export async function fetchTrustedImage(request: ImageRequest): Promise<TrustedImage> {
  const { client, digest, architecture } = request;
  const signed = await retryWhileUnreachable(
    "fetching the manifest",
    request.say,
    () => client.get(`/images/${digest}`, signedManifestSchema),
    request.signal,
  );
  const manifest = verifyManifest(signed, request.trustedKeys);
  const actual = imageDigest(signed.manifestText);
  if (actual !== digest) {
    throw new DrpError("bundle.tampered", `the site gave image ${actual} instead of ${digest}`, {
      advice: "Order it again; if that does not help, look for who answers in the site's name.",
    });
  }
  if (manifest.architecture !== architecture) {
    throw new DrpError(
      "image.wrong-architecture",
      `${manifest.name}:${manifest.version} is for ${manifest.architecture}; this machine is ${architecture}`,
      { advice: `Order an image for ${architecture}.` },
    );
  }
  const gap = request.replaces === undefined ? undefined : describeReleaseGap(manifest, request.replaces);
  if (gap !== undefined) {
    throw new DrpError("image.release-gap", gap, {
      advice: "Update to a release between first, or install the machine anew with: --strategy reimage",
    });
  }
  const [payload] = manifest.payloads;
  if (payload?.name !== "rootfs.img") {
    throw new DrpError("version.unsupported", `${manifest.name}:${manifest.version} has no rootfs.img`, {
      advice: "Build it for A/B machines, with a rootfs.img.",
    });
  }
  return { signed, manifest, payload };
}
