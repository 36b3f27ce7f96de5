/** Every question that the store answers, as portable SQL. Nothing here writes. */
import type { Kysely, Selectable } from "kysely";
import type { MachineRecord, MachineState } from "../agent/hub/machine-record.ts";
import { type MacAddress, parseMac } from "../core/mac.ts";
import type { RolloutRecord } from "../rollout/rollout-record.ts";
import type {
  EventFilter,
  EventRecord,
  ImageFilter,
  ImageRecord,
  MachineFilter,
  Page,
  RolloutFilter,
  SiteRecord,
} from "./ports.ts";
import { rowToEvent, rowToImage, rowToMachine, rowToRollout, rowToSite, toNumber } from "./rows.ts";
import type { MachinesTable, Schema } from "./schema.ts";

type Db = Kysely<Schema>;

export async function listSites(db: Db, page: Page): Promise<SiteRecord[]> {
  let query = db.selectFrom("sites").selectAll().orderBy("name").limit(page.limit);
  if (page.after !== undefined) query = query.where("name", ">", page.after);
  return (await query.execute()).map(rowToSite);
}

/** An id is tried before a name, so that a name made to look like an id hides nothing. */
export async function findSite(db: Db, reference: string): Promise<SiteRecord | undefined> {
  for (const column of ["id", "name"] as const) {
    const row = await db.selectFrom("sites").selectAll().where(column, "=", reference).executeTakeFirst();
    if (row !== undefined) return rowToSite(row);
  }
  return undefined;
}

/** @param column holds what a site proves that it knows */
export async function findSiteBy(
  db: Db,
  column: "key_fingerprint" | "join_token_hash",
  value: string,
): Promise<SiteRecord | undefined> {
  const row = await db.selectFrom("sites").selectAll().where(column, "=", value).executeTakeFirst();
  return row === undefined ? undefined : rowToSite(row);
}

export async function listMachines(db: Db, filter: MachineFilter): Promise<MachineRecord[]> {
  let query = db.selectFrom("machines").selectAll().orderBy("name").limit(filter.limit);
  if (filter.after !== undefined) query = query.where("name", ">", filter.after);
  if (filter.siteId !== undefined) query = query.where("site_id", "=", filter.siteId);
  if (filter.stateKind !== undefined) query = query.where("state_kind", "=", filter.stateKind);
  return withMacs(db, await query.execute());
}

/** An id is tried before a name, a name before a MAC address. */
export async function findMachine(db: Db, reference: string): Promise<MachineRecord | undefined> {
  for (const column of ["id", "name"] as const) {
    const rows = await db.selectFrom("machines").selectAll().where(column, "=", reference).execute();
    if (rows.length > 0) return (await withMacs(db, rows))[0];
  }
  const mac = parseMac(reference);
  if (mac === undefined) return undefined;
  const rows = await db
    .selectFrom("machines")
    .innerJoin("machine_macs", "machine_macs.machine_id", "machines.id")
    .selectAll("machines")
    .where("machine_macs.mac", "=", mac)
    .execute();
  return (await withMacs(db, rows))[0];
}

async function withMacs(db: Db, rows: readonly Selectable<MachinesTable>[]): Promise<MachineRecord[]> {
  if (rows.length === 0) return [];
  const macRows = await db
    .selectFrom("machine_macs")
    .select(["machine_id", "mac"])
    .where(
      "machine_id",
      "in",
      rows.map(row => row.id),
    )
    .orderBy("position")
    .execute();
  const macs = Map.groupBy(macRows, row => row.machine_id);
  return rows.map(row =>
    rowToMachine(
      row,
      (macs.get(row.id) ?? []).map(macRow => macRow.mac as MacAddress),
    ),
  );
}

export async function countMachines(
  db: Db,
  siteId: string | undefined,
): Promise<Map<MachineState["kind"], number>> {
  let query = db
    .selectFrom("machines")
    .select(({ fn }) => ["state_kind", fn.countAll().as("machines")])
    .groupBy("state_kind");
  if (siteId !== undefined) query = query.where("site_id", "=", siteId);
  const rows = await query.execute();
  return new Map(rows.map(row => [row.state_kind as MachineState["kind"], toNumber(row.machines)]));
}

export async function listImages(db: Db, filter: ImageFilter): Promise<ImageRecord[]> {
  let query = db
    .selectFrom("images")
    .selectAll()
    .orderBy("pushed_at", "desc")
    .orderBy("digest")
    .limit(filter.limit);
  if (filter.name !== undefined) query = query.where("name", "=", filter.name);
  if (filter.after !== undefined) {
    const digest = filter.after;
    const last = await db
      .selectFrom("images")
      .select("pushed_at")
      .where("digest", "=", digest)
      .executeTakeFirst();
    if (last === undefined) return [];
    query = query.where(({ eb, and, or }) =>
      or([
        eb("pushed_at", "<", last.pushed_at),
        and([eb("pushed_at", "=", last.pushed_at), eb("digest", ">", digest)]),
      ]),
    );
  }
  return (await query.execute()).map(rowToImage);
}

const DIGEST_PREFIX = /^(?:sha256:)?([0-9a-f]{4,64})$/;

/**
 * A name and version may be pushed again with other content, and a version may come to read like a tag, so every reading of
 * `reference` may name several.
 */
export async function findImages(db: Db, reference: string): Promise<ImageRecord[]> {
  const images = db.selectFrom("images").selectAll().orderBy("pushed_at", "desc").orderBy("digest");
  const [name = "", version] = reference.split(":");
  const hex = DIGEST_PREFIX.exec(reference)?.[1];
  const tagged = db
    .selectFrom("image_tags")
    .select("digest")
    .where("digest", "is not", null)
    .where("tag", "=", version ?? reference);
  const byName = images
    .where(({ eb, or }) =>
      or([
        eb("version", "=", version ?? reference),
        eb("digest", "in", version === undefined ? tagged : tagged.where("name", "=", name)),
      ]),
    )
    .$if(version !== undefined, query => query.where("name", "=", name));
  const named = await byName.execute();
  if (named.length > 0 || hex === undefined) return named.map(rowToImage);
  // A range instead of LIKE: LIKE's rules for letter case differ between databases.
  const low = `sha256:${hex}`;
  return (await images.where("digest", ">=", low).where("digest", "<", `${low}g`).execute()).map(rowToImage);
}

export async function listRollouts(db: Db, filter: RolloutFilter): Promise<RolloutRecord[]> {
  let query = db
    .selectFrom("rollouts")
    .selectAll()
    .orderBy("created_at", "desc")
    .orderBy("id")
    .limit(filter.limit);
  if (filter.onlyOpen === true) query = query.where("is_open", "=", 1);
  if (filter.after !== undefined) {
    const id = filter.after;
    const last = await db.selectFrom("rollouts").select("created_at").where("id", "=", id).executeTakeFirst();
    if (last === undefined) return [];
    query = query.where(({ eb, and, or }) =>
      or([
        eb("created_at", "<", last.created_at),
        and([eb("created_at", "=", last.created_at), eb("id", ">", id)]),
      ]),
    );
  }
  return (await query.execute()).map(rowToRollout);
}

export async function listEvents(db: Db, filter: EventFilter): Promise<EventRecord[]> {
  let query = db
    .selectFrom("events")
    .selectAll()
    .orderBy("id", filter.from === "newest" ? "desc" : "asc")
    .limit(filter.limit);
  if (filter.afterId !== undefined) query = query.where("id", ">", filter.afterId);
  if (filter.machineId !== undefined) query = query.where("machine_id", "=", filter.machineId);
  if (filter.mac === null) query = query.where("mac", "is", null);
  else if (filter.mac !== undefined) query = query.where("mac", "=", filter.mac);
  if (filter.siteId !== undefined) query = query.where("site_id", "=", filter.siteId);
  if (filter.kindPrefix !== undefined) query = query.where("kind", "like", `${filter.kindPrefix}%`);
  const events = (await query.execute()).map(rowToEvent);
  return filter.from === "newest" ? events.reverse() : events;
}
