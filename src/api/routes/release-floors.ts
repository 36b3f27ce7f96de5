import { DrpError } from "../../core/errors.ts";
import type { ReleaseFloorRecord } from "../../store/ports.ts";
import { audit } from "../audit.ts";
import type { ApiDeps } from "../deps.ts";
import { defineRoute, json, type Route } from "../route.ts";
import { lowerReleaseFloorSchema, pageOf, releaseFloorSchema } from "../wire.ts";

/** The releases below which the fleet takes nothing any more. They rise with rollouts; only a person lowers one. */
export function releaseFloorRoutes({ store, clock }: ApiDeps): Route[] {
  return [
    defineRoute({
      method: "get",
      path: "/api/v1/release-floors",
      role: "viewer",
      summary: "Lists the floor of each image name that has one",
      status: 200,
      answer: pageOf(releaseFloorSchema),
      handle: async () => json({ items: await store.listReleaseFloors(), next: null }),
    }),
    defineRoute({
      method: "post",
      path: "/api/v1/release-floors/{name}/lower",
      role: "admin",
      summary: "Lets older releases of an image in again, for a reason that is kept",
      body: lowerReleaseFloorSchema,
      status: 200,
      answer: releaseFloorSchema,
      handle: async ({ param, body, caller }) => {
        const imageName = param("name");
        const before = (await store.listReleaseFloors()).find(floor => floor.imageName === imageName);
        if (before === undefined || body.release >= before.release) {
          const reason = before === undefined ? "has no floor" : `has its floor at release ${before.release}`;
          throw new DrpError(
            "request.invalid",
            `${imageName} ${reason}: there is nothing to lower to ${body.release}`,
            {
              advice: "See the floors with: drp images floors list",
            },
          );
        }
        const floor: ReleaseFloorRecord = {
          imageName,
          release: body.release,
          rolloutId: null,
          reason: `${caller.name} lowered it from release ${before.release}: ${body.reason}`,
          setAt: clock(),
          setBy: caller.name,
        };
        const outcome = await store.commit([
          { kind: "lower-release-floor", floor, expectedRelease: before.release },
          audit({
            kind: "image.floor-lowered",
            at: floor.setAt,
            caller,
            did: `lowered the floor of ${imageName} from release ${before.release} to ${body.release}: ${body.reason}`,
            facts: { image: imageName, from: before.release, to: body.release },
          }),
        ]);
        if (outcome.kind === "committed") return json(floor);
        throw new DrpError("precondition.failed", `the floor of ${imageName} has just moved`, {
          advice: "Look again (drp images floors list), then decide again.",
        });
      },
    }),
  ];
}
