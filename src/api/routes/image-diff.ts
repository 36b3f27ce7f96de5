import { DiffDesk } from "../../images/io/diff-desk.ts";
import type { Manifest } from "../../images/manifest.ts";
import type { ApiDeps } from "../deps.ts";
import { requireImage } from "../references.ts";
import { defineRoute, json, type Route } from "../route.ts";
import { imageDiffSchema } from "../wire.ts";

/** What differs between two images. */
export function imageDiffRoutes({ store, registry }: ApiDeps): Route[] {
  const desk = new DiffDesk(registry);
  return [
    defineRoute({
      method: "get",
      path: "/api/v1/images/{image}/diff/{other}",
      role: "viewer",
      summary:
        "Compares an image with another one: files, packages, manifest. Takes seconds, for large images minutes",
      status: 200,
      answer: imageDiffSchema,
      handle: async ({ param, gone }) => {
        const before = await requireImage(store, param("image"));
        const after = await requireImage(store, param("other"));
        const diff = await desk.compare(before.digest, after.digest, gone);
        return json({
          ...diff,
          before: describeSide(before.digest, diff.before),
          after: describeSide(after.digest, diff.after),
        });
      },
    }),
  ];
}

function describeSide(
  digest: string,
  { name, version, release, minimumRelease, architecture, payloads }: Manifest,
) {
  const sizeBytes = payloads.reduce((sum, payload) => sum + payload.sizeBytes, 0);
  return { digest, name, version, release, minimumRelease, architecture, sizeBytes };
}
