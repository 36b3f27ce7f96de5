/** Every route of the API, in the order of the documentation. */
import type { Authenticator } from "./authenticator.ts";
import type { ApiDeps } from "./deps.ts";
import type { Route } from "./route.ts";
import { bootRoutes } from "./routes/boots.ts";
import { eventRoutes } from "./routes/events.ts";
import { hubRoutes } from "./routes/hub.ts";
import { imageDiffRoutes } from "./routes/image-diff.ts";
import { imageKeyRoutes } from "./routes/image-keys.ts";
import { imagePruneRoutes } from "./routes/image-prune.ts";
import { imageScrubRoutes } from "./routes/image-scrub.ts";
import { imageTagRoutes } from "./routes/image-tags.ts";
import { imageUploadRoutes } from "./routes/image-uploads.ts";
import { imageRoutes } from "./routes/images.ts";
import { installRoutes } from "./routes/installs.ts";
import { joinRoutes } from "./routes/join.ts";
import { leaseRoutes } from "./routes/leases.ts";
import { machineRoutes } from "./routes/machines.ts";
import { releaseFloorRoutes } from "./routes/release-floors.ts";
import { rolloutRoutes } from "./routes/rollouts.ts";
import { sessionRoutes } from "./routes/session.ts";
import { siteRoutes } from "./routes/sites.ts";
import { tokenRoutes } from "./routes/tokens.ts";

export function apiRoutes(deps: ApiDeps, authenticator: Authenticator): Route[] {
  return [
    ...siteRoutes(deps),
    ...joinRoutes(deps),
    ...machineRoutes(deps),
    ...installRoutes(deps),
    // Before {image}: no image is found by the name "scrub" alone.
    ...imageScrubRoutes(deps),
    ...imageRoutes(deps),
    ...imageTagRoutes(deps),
    ...imageDiffRoutes(deps),
    ...imagePruneRoutes(deps),
    ...imageUploadRoutes(deps),
    ...rolloutRoutes(deps),
    ...imageKeyRoutes(deps),
    ...releaseFloorRoutes(deps),
    ...tokenRoutes(deps),
    ...eventRoutes(deps),
    ...bootRoutes(deps),
    ...leaseRoutes(deps),
    ...hubRoutes(deps),
    ...sessionRoutes(authenticator),
  ];
}
