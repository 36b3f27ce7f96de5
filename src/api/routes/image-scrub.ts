/** Checking every byte of the images that the hub keeps. */
import type { ApiDeps } from "../deps.ts";
import { ImageScrub } from "../image-scrub.ts";
import { defineRoute, json, type Route } from "../route.ts";
import { imageScrubSchema } from "../wire.ts";

export function imageScrubRoutes(deps: ApiDeps): Route[] {
  const scrub = new ImageScrub(deps);
  return [
    defineRoute({
      method: "post",
      path: "/api/v1/images/scrub",
      role: "operator",
      summary: "Begins to check every chunk that is kept; follows the check that runs already",
      status: 200,
      answer: imageScrubSchema,
      handle: async ({ caller }) => json(await scrub.begin(caller)),
    }),
    defineRoute({
      method: "get",
      path: "/api/v1/images/scrub",
      role: "viewer",
      summary: "How far the check is, or what the last one since the hub's start has found",
      status: 200,
      answer: imageScrubSchema,
      handle: async () => json(scrub.state),
    }),
  ];
}
