import { z } from "zod";
import { formatBytes } from "../../core/bytes.ts";
import { DrpError } from "../../core/errors.ts";
import type { IngestedImage } from "../../images/io/registry.ts";
import type { ImageRecord, Store } from "../../store/ports.ts";
import { audit } from "../audit.ts";
import type { ApiDeps } from "../deps.ts";
import { findImageUsers } from "../image-users.ts";
import { answerPage, pageQuery } from "../paging.ts";
import { requireImage } from "../references.ts";
import { defineRoute, EMPTY, json, type Route } from "../route.ts";
import { type Image, imageSchema, pageOf, pushedImageSchema } from "../wire.ts";

export function imageRoutes({ store, registry, clock }: ApiDeps): Route[] {
  return [
    defineRoute({
      method: "get",
      path: "/api/v1/images",
      role: "viewer",
      summary: "Lists images, newest first",
      query: z.strictObject(pageQuery),
      status: 200,
      answer: pageOf(imageSchema),
      handle: ({ query }) =>
        answerPage(
          query,
          page => store.listImages(page),
          image => image.digest,
          images => imagesToWire(store, images),
        ),
    }),
    defineRoute({
      method: "get",
      path: "/api/v1/images/{image}",
      role: "viewer",
      summary: "Shows one image, by digest, unique prefix, NAME:VERSION or unique version",
      status: 200,
      answer: imageSchema,
      handle: async call =>
        json((await imagesToWire(store, [await requireImage(store, call.param("image"))]))[0]),
    }),
    defineRoute({
      method: "post",
      path: "/api/v1/images",
      role: "ci",
      summary: "Pushes a bundle: a tar, plain or zstd, as docs/architecture.md describes it",
      body: "stream",
      status: 201,
      answer: pushedImageSchema,
      handle: async ({ upload, caller }) => {
        const ingested = await registry.ingestBundle(upload, await store.listImageKeys());
        const image = imageRecord(ingested, caller.name, clock());
        const outcome = await store.commit([
          { kind: "insert-image", image },
          audit({
            kind: "image.pushed",
            at: image.pushedAt,
            caller,
            did: `pushed ${image.name}:${image.version} (${formatBytes(image.dataBytes)} of data)`,
            facts: { image: image.digest, keyId: image.keyId },
          }),
        ]);
        const known = outcome.kind === "conflict";
        return json({
          image: known ? await requireImage(store, image.digest) : image,
          alreadyPresent: known,
        });
      },
    }),
    defineRoute({
      method: "delete",
      path: "/api/v1/images/{image}",
      role: "operator",
      summary: "Removes an image that nothing runs or is to run, and that no open rollout may go back to",
      status: 204,
      handle: async ({ param, caller }) => {
        const image = await requireImage(store, param("image"));
        const outcome = await store.commit([
          { kind: "delete-image", digest: image.digest },
          audit({
            kind: "image.deleted",
            at: clock(),
            caller,
            did: `removed ${image.name}:${image.version}`,
            facts: { image: image.digest },
          }),
        ]);
        if (outcome.kind === "conflict" && outcome.reason === "stale") throw await inUse(store, image);
        await registry.remove(image.digest);
        return EMPTY;
      },
    }),
  ];
}

function imageRecord(
  { manifest, digest, dataBytes, keyId }: IngestedImage,
  by: string,
  now: number,
): ImageRecord {
  const { name, version, architecture, payloads } = manifest;
  const sizeBytes = payloads.reduce((sum, payload) => sum + payload.sizeBytes, 0);
  return { digest, name, version, architecture, sizeBytes, dataBytes, keyId, pushedAt: now, pushedBy: by };
}

async function imagesToWire(store: Store, images: readonly ImageRecord[]): Promise<Image[]> {
  const denials = new Map((await store.listDeniedImages()).map(({ digest, ...denial }) => [digest, denial]));
  return images.map(image => {
    const denied = denials.get(image.digest);
    return denied === undefined ? image : { ...image, denied };
  });
}

async function inUse(store: Store, image: ImageRecord): Promise<DrpError> {
  const users = await findImageUsers(store, image.digest);
  return new DrpError("image.in-use", `${image.name}:${image.version} is used by ${users.join(", ")}`, {
    advice: "Install another image on them first, cancel their open orders, or wait for the rollout to end.",
  });
}
