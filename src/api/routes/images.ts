import { z } from "zod";
import { DrpError } from "../../core/errors.ts";
import type { EpochMs } from "../../core/time.ts";
import { loadSignerRefusals } from "../../rollout/io/load-image-standing.ts";
import { loadKnownKeys } from "../../rollout/io/load-key-chain.ts";
import type { ImageRecord, Store } from "../../store/ports.ts";
import { isUnrecorded } from "../adopt-unrecorded-images.ts";
import { audit } from "../audit.ts";
import type { ApiDeps } from "../deps.ts";
import { findImageUsers } from "../image-users.ts";
import { answerPage, pageQuery } from "../paging.ts";
import { recordPushedImage } from "../record-pushed-image.ts";
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
      query: z.strictObject({
        ...pageQuery,
        name: z.string().max(63).optional().describe("only versions of this name"),
      }),
      status: 200,
      answer: pageOf(imageSchema),
      handle: ({ query }) =>
        answerPage(
          query,
          page => store.listImages({ ...page, ...(query.name === undefined ? {} : { name: query.name }) }),
          image => image.digest,
          images => imagesToWire(store, images, clock()),
        ),
    }),
    defineRoute({
      method: "get",
      path: "/api/v1/images/{image}",
      role: "viewer",
      summary:
        "Shows one image, by digest, unique prefix, NAME:VERSION, NAME:TAG, unique version or unique tag",
      status: 200,
      answer: imageSchema,
      handle: async call =>
        json((await imagesToWire(store, [await requireImage(store, call.param("image"))], clock()))[0]),
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
        const ingested = await registry.ingestBundle(upload, await loadKnownKeys(store, clock()));
        return json(await recordPushedImage({ store, registry }, ingested, caller, clock()));
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
        await registry.remove(image.digest, () => isUnrecorded(store, image.digest));
        return EMPTY;
      },
    }),
  ];
}

async function imagesToWire(store: Store, images: readonly ImageRecord[], now: EpochMs): Promise<Image[]> {
  const denials = new Map((await store.listDeniedImages()).map(({ digest, ...denial }) => [digest, denial]));
  const refusalOf = await loadSignerRefusals(store, now);
  const tags = Map.groupBy(await store.listImageTags(), ({ digest }) => digest ?? "");
  return images.map(image => {
    const denied = denials.get(image.digest);
    const refusal = refusalOf(image.keyId);
    return {
      ...image,
      ...(tags.has(image.digest) ? { tags: tags.get(image.digest)?.map(({ tag }) => tag) } : {}),
      ...(denied === undefined ? {} : { denied }),
      ...(refusal === null ? {} : { signatureRefusal: `it is signed by ${refusal}` }),
    };
  });
}

async function inUse(store: Store, image: ImageRecord): Promise<DrpError> {
  const users = await findImageUsers(store, image.digest);
  return new DrpError("image.in-use", `${image.name}:${image.version} is used by ${users.join(", ")}`, {
    advice: "Install another image on them first, cancel their open orders, or wait for the rollout to end.",
  });
}
