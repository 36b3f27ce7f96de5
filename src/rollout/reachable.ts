import type { EpochMs } from "../core/time.ts";
import type { FleetSite } from "./fleet.ts";

/** A site reports at least every ten seconds; six of them missed are an outage and no accident. */
export const UNREACHABLE_AFTER_MS = 60_000;

/** Whether the hub hears of a site. Of one that it does not hear of it knows nothing: neither success nor failure. */
export function isReachable(site: FleetSite | undefined, now: EpochMs): boolean {
  if (site === undefined) return false;
  if (site.membership === null) return true;
  return site.lastSeenAt !== null && now - site.lastSeenAt <= UNREACHABLE_AFTER_MS;
}
