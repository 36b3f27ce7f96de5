/** What a hub needs before it can be used: the local site and a token for the first admin. */
import { join } from "node:path";
import { hashTokenSecret, mintTokenSecret } from "../../api/token-secret.ts";
import { mintId, type RandomBytes } from "../../core/ids.ts";
import type { EpochMs } from "../../core/time.ts";
import { NO_LIMITS } from "../../images/transfer-limits.ts";
import type { SiteRecord, Store, StoreChange } from "../../store/ports.ts";
import type { Settings } from "../settings.ts";
import { writeFileDurably } from "./secret-file.ts";

/** The id of the site that the hub runs itself; its name is the operator's. */
const LOCAL_SITE_ID = "s-local";
const FIRST_ADMIN = "first-admin";

/** Makes the local site, or brings it to what the configuration says of it. */
export async function ensureLocalSite(
  store: Store,
  wanted: Settings["site"],
  now: EpochMs,
): Promise<SiteRecord> {
  const site = await store.findSite(LOCAL_SITE_ID);
  if (site === undefined) {
    const created: SiteRecord = {
      id: LOCAL_SITE_ID,
      name: wanted.name,
      labels: {},
      unknown: wanted.unknown ?? "discover",
      baseline: null,
      membership: null,
      timeZone: "UTC",
      transferLimits: NO_LIMITS,
      lastSeenAt: null,
      createdAt: now,
      revision: 1,
    };
    await store.commit([{ kind: "insert-site", site: created }]);
    return created;
  }
  const unknown = wanted.unknown ?? site.unknown;
  if (site.name === wanted.name && site.unknown === unknown) return site;
  const changed: SiteRecord = { ...site, name: wanted.name, unknown, revision: site.revision + 1 };
  await store.commit([{ kind: "update-site", site: changed, expectedRevision: site.revision }]);
  return changed;
}

/**
 * Makes a token for an admin where there is none that still holds: at the first start, and for whoever locked themselves
 * out but has the host. The file comes first: a token that is nowhere to be read would lock everyone out.
 *
 * @returns the file where the CLI on this host finds the token
 */
export async function ensureAdminToken(
  store: Store,
  dataFolder: string,
  randomBytes: RandomBytes,
  now: EpochMs,
): Promise<string> {
  const file = join(dataFolder, "admin.token");
  const tokens = await store.listTokens();
  const holds = (expiresAt: EpochMs | null) => expiresAt === null || expiresAt > now;
  if (tokens.some(token => token.role === "admin" && holds(token.expiresAt))) return file;
  const secret = mintTokenSecret(randomBytes);
  writeFileDurably(file, `${secret}\n`, 0o600);
  const old = tokens.find(token => token.name === FIRST_ADMIN);
  const changes: StoreChange[] = [
    ...(old === undefined ? [] : [{ kind: "delete-token", id: old.id } as const]),
    {
      kind: "insert-token",
      token: {
        id: mintId("t", randomBytes),
        name: FIRST_ADMIN,
        role: "admin",
        secretHash: hashTokenSecret(secret),
        createdAt: now,
        expiresAt: null,
      },
    },
  ];
  await store.commit(changes);
  return file;
}
