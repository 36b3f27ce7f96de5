/** Site records as clients see them: with their machines counted, and without what proves who they are. */
import type { SiteRecord, Store } from "../store/ports.ts";
import type { Site } from "./wire.ts";

export async function siteToWire(store: Store, site: SiteRecord): Promise<Site> {
  const { id, name, labels, unknown, baseline, timeZone, transferLimits, lastSeenAt, createdAt, revision } =
    site;
  return {
    id,
    name,
    labels,
    unknown,
    baseline,
    membership: site.membership?.kind ?? "local",
    timeZone,
    transferLimits,
    lastSeenAt,
    machines: Object.fromEntries(await store.countMachines(id)),
    createdAt,
    revision,
  };
}
