import { formatBytes } from "../../core/bytes.ts";
import { audit, auditEvent } from "../audit.ts";
import type { ApiDeps } from "../deps.ts";
import { type PruneReport, planPrune, pruneImages } from "../prune-images.ts";
import { defineRoute, json, type Route } from "../route.ts";
import { type PrunedImages, prunedImagesSchema, pruneImagesSchema } from "../wire.ts";

const DAY_MS = 86_400_000;

/** Removes images that nothing needs. */
export function imagePruneRoutes(deps: ApiDeps): Route[] {
  const { store, clock } = deps;
  return [
    defineRoute({
      method: "post",
      path: "/api/v1/images/prune",
      role: "operator",
      summary:
        "Removes images that no machine, tag, site, rollout or way back needs, and that the rule does not keep",
      body: pruneImagesSchema,
      status: 200,
      answer: prunedImagesSchema,
      handle: async ({ body, caller }) => {
        const rule = { keepNewest: body.keep, keepForMs: body.olderThanDays * DAY_MS };
        if (body.dryRun) return json(toWire(await planPrune(deps, rule)));
        const report = await pruneImages(deps, rule, (image, reason) =>
          auditEvent({
            kind: "image.pruned",
            at: clock(),
            caller,
            did: `pruned ${image.name}:${image.version} (${reason})`,
            facts: { image: image.digest },
          }),
        );
        const removed = report.verdicts.filter(({ keep }) => !keep).length;
        if (removed > 0) {
          const did = `pruned ${removed} of ${report.verdicts.length} images: ${formatBytes(report.freedBytes)} of data`;
          await store.commit([
            audit({
              kind: "images.pruned",
              at: clock(),
              caller,
              did,
              facts: { removed, freedBytes: report.freedBytes },
            }),
          ]);
        }
        return json(toWire(report));
      },
    }),
  ];
}

function toWire({ verdicts, freedBytes }: PruneReport): PrunedImages {
  return {
    freedBytes,
    images: verdicts.map(({ image: { digest, name, version, pushedAt }, keep, reason }) => ({
      digest,
      name,
      version,
      pushedAt,
      verdict: keep ? "keep" : "remove",
      reason,
    })),
  };
}
