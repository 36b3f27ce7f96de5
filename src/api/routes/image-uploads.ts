/** Pushing an image in pieces, so that a cut costs a chunk and what the hub holds already is not sent. */
import { DrpError } from "../../core/errors.ts";
import { chunkDigestSchema, imageDigestSchema } from "../../images/manifest.ts";
import { MAX_FRAME_BYTES } from "../../images/zstd-frames.ts";
import { loadKnownKeys } from "../../rollout/io/load-key-chain.ts";
import type { ApiDeps } from "../deps.ts";
import { recordPushedImage } from "../record-pushed-image.ts";
import { type Call, defineRoute, EMPTY, json, type Route } from "../route.ts";
import { pushedImageSchema, startedUploadSchema } from "../wire.ts";

export function imageUploadRoutes({ store, registry, uploads, clock }: ApiDeps): Route[] {
  return [
    defineRoute({
      method: "post",
      path: "/api/v1/image-uploads",
      role: "ci",
      summary:
        "Begins or takes up an upload; the body is a tar of the bundle's manifest.json and manifest.sig",
      body: "stream",
      status: 200,
      answer: startedUploadSchema,
      handle: async ({ upload }) => json(await uploads.begin(upload, await loadKnownKeys(store, clock()))),
    }),
    defineRoute({
      method: "post",
      path: "/api/v1/image-uploads/{image}/chunks/{chunk}",
      role: "ci",
      summary: "Keeps one chunk of an upload; the body is one zstd frame",
      body: "stream",
      status: 204,
      handle: async call => {
        const chunk = chunkDigestSchema.safeParse(call.param("chunk"));
        if (!chunk.success)
          throw new DrpError("request.invalid", `${call.param("chunk")} is no chunk's digest`);
        await uploads.keepChunk(digestOf(call), chunk.data, await readFrame(call));
        return EMPTY;
      },
    }),
    defineRoute({
      method: "post",
      path: "/api/v1/image-uploads/{image}/complete",
      role: "ci",
      summary: "Makes the image visible once every chunk of it has come",
      status: 201,
      answer: pushedImageSchema,
      handle: async call =>
        json(
          await recordPushedImage(
            { store, registry },
            await uploads.complete(digestOf(call)),
            call.caller,
            clock(),
          ),
        ),
    }),
  ];
}

function digestOf({ param }: Pick<Call<unknown, unknown>, "param">): string {
  const digest = imageDigestSchema.safeParse(param("image"));
  if (digest.success) return digest.data;
  throw new DrpError("request.invalid", `${param("image")} is no image's digest`, {
    advice: "Take the one that the upload's beginning answered with.",
  });
}

async function readFrame({ upload }: Pick<Call<unknown, unknown>, "upload">): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  // Not destroyed when it is too long: the sender is to read why.
  for await (const piece of upload.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    sizeBytes += piece.length;
    if (sizeBytes > MAX_FRAME_BYTES) {
      throw new DrpError("request.too-large", `a chunk's frame has at most ${MAX_FRAME_BYTES} bytes`);
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
