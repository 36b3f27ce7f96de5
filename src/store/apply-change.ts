/** One change of a commit as portable SQL, inside the commit's transaction. Compare-and-set is a condition and a row count. */
import type { Transaction } from "kysely";
import type { MacAddress } from "../core/mac.ts";
import { previousImages } from "../rollout/previous-images.ts";
import { isEnded, type RolloutRecord } from "../rollout/rollout-record.ts";
import type { ChangeOutcome } from "./change-outcome.ts";
import { setImageTag } from "./image-tags.ts";
import type { EventRecord, NewEvent, StoreChange } from "./ports.ts";
import {
  deniedImageToRow,
  eventToRow,
  imageToRow,
  machineToRow,
  rolloutToRow,
  siteToRow,
  tokenToRow,
  toNumber,
} from "./rows.ts";
import type { Schema } from "./schema.ts";
import { insertKeyList, lowerReleaseFloor, raiseReleaseFloor } from "./trust.ts";

type Db = Transaction<Schema>;

/** Events beyond this many are forgotten, oldest first: about 500 MB on disk, weeks of a fleet's boots. */
const KEPT_EVENTS = 1_000_000;
/** How often the oldest are removed, in events: one indexed delete of a thousand rows. */
const PRUNE_EVERY = 1_000;

const APPLIED: ChangeOutcome = { kind: "applied" };

/** @throws the database's own error when a unique key is taken */
export async function applyChange(db: Db, change: StoreChange): Promise<ChangeOutcome> {
  switch (change.kind) {
    case "insert-site":
      await db.insertInto("sites").values(siteToRow(change.site)).execute();
      return APPLIED;
    case "update-site":
      return updateSite(db, change);
    case "insert-machine":
      await db.insertInto("machines").values(machineToRow(change.machine)).execute();
      await insertMacs(db, change.machine.id, change.machine.macs);
      return APPLIED;
    case "update-machine":
      return updateMachine(db, change);
    case "delete-machine":
      return deleteMachine(db, change);
    case "insert-image":
      await db.insertInto("images").values(imageToRow(change.image)).execute();
      return APPLIED;
    case "require-image":
      return requireImage(db, change.digest);
    case "delete-image":
      return deleteImage(db, change);
    case "set-image-tag":
      return setImageTag(db, change);
    case "insert-rollout":
      return insertRollout(db, change.rollout);
    case "update-rollout":
      return updateRollout(db, change);
    case "deny-image":
      await db
        .insertInto("denied_images")
        .values(deniedImageToRow(change.denied))
        .onConflict(conflict => conflict.column("digest").doNothing())
        .execute();
      return APPLIED;
    case "insert-token":
      await db.insertInto("tokens").values(tokenToRow(change.token)).execute();
      return APPLIED;
    case "delete-token":
      return presentIf(
        (await db.deleteFrom("tokens").where("id", "=", change.id).executeTakeFirst()).numDeletedRows,
      );
    case "set-image-signer":
      return presentIf(
        (
          await db
            .updateTable("images")
            .set({ key_id: change.keyId })
            .where("digest", "=", change.digest)
            .executeTakeFirst()
        ).numUpdatedRows,
      );
    case "insert-key-list":
      await insertKeyList(db, change.keyList);
      return APPLIED;
    case "raise-release-floor":
      await raiseReleaseFloor(db, change.floor);
      return APPLIED;
    case "lower-release-floor":
      return (await lowerReleaseFloor(db, change)) ? APPLIED : { kind: "refused", reason: "stale" };
    case "append-event":
      return { kind: "applied", event: await appendEvent(db, change.event) };
  }
}

function presentIf(rows: bigint): ChangeOutcome {
  return toNumber(rows) > 0 ? APPLIED : { kind: "refused", reason: "missing" };
}

async function updateSite(
  db: Db,
  { site, expectedRevision }: Extract<StoreChange, { kind: "update-site" }>,
): Promise<ChangeOutcome> {
  const { numUpdatedRows } = await db
    .updateTable("sites")
    .set(siteToRow(site))
    .where("id", "=", site.id)
    .where("revision", "=", expectedRevision)
    .executeTakeFirst();
  return numUpdatedRows > 0n ? APPLIED : staleOrMissing(db, "sites", site.id);
}

async function updateMachine(
  db: Db,
  { machine, expectedRevision }: Extract<StoreChange, { kind: "update-machine" }>,
): Promise<ChangeOutcome> {
  const { numUpdatedRows } = await db
    .updateTable("machines")
    .set(machineToRow(machine))
    .where("id", "=", machine.id)
    .where("revision", "=", expectedRevision)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) return staleOrMissing(db, "machines", machine.id);
  const rows = await db
    .selectFrom("machine_macs")
    .select("mac")
    .where("machine_id", "=", machine.id)
    .orderBy("position")
    .execute();
  const unchanged =
    rows.length === machine.macs.length && rows.every((row, position) => row.mac === machine.macs[position]);
  if (!unchanged) {
    await db.deleteFrom("machine_macs").where("machine_id", "=", machine.id).execute();
    await insertMacs(db, machine.id, machine.macs);
  }
  return APPLIED;
}

async function deleteMachine(
  db: Db,
  { id, expectedRevision }: Extract<StoreChange, { kind: "delete-machine" }>,
): Promise<ChangeOutcome> {
  const { numDeletedRows } = await db
    .deleteFrom("machines")
    .where("id", "=", id)
    .where("revision", "=", expectedRevision)
    .executeTakeFirst();
  return numDeletedRows > 0n ? APPLIED : staleOrMissing(db, "machines", id);
}

/** Holds the plan's sites and images until the rollout has ended. */
async function insertRollout(db: Db, rollout: RolloutRecord): Promise<ChangeOutcome> {
  await db.insertInto("rollouts").values(rolloutToRow(rollout)).execute();
  const sites = rollout.plan.waves.flatMap(wave => wave.sites);
  const siteRows = sites.map(({ siteId }) => ({ site_id: siteId, rollout_id: rollout.id }));
  for (const rows of inBatches(siteRows)) await db.insertInto("rollout_sites").values(rows).execute();
  const digests = new Set([
    rollout.plan.image,
    ...sites.flatMap(({ baselineBefore }) => baselineBefore ?? []),
    ...sites.flatMap(({ machines }) => machines.map(({ from }) => from)),
  ]);
  const imageRows = [...digests].map(digest => ({ digest, rollout_id: rollout.id }));
  for (const rows of inBatches(imageRows)) await db.insertInto("rollout_images").values(rows).execute();
  return APPLIED;
}

async function updateRollout(
  db: Db,
  { rollout, expectedRevision }: Extract<StoreChange, { kind: "update-rollout" }>,
): Promise<ChangeOutcome> {
  const { numUpdatedRows } = await db
    .updateTable("rollouts")
    .set(rolloutToRow(rollout))
    .where("id", "=", rollout.id)
    .where("revision", "=", expectedRevision)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) return staleOrMissing(db, "rollouts", rollout.id);
  if (isEnded(rollout.state)) {
    await db.deleteFrom("rollout_sites").where("rollout_id", "=", rollout.id).execute();
    await db.deleteFrom("rollout_images").where("rollout_id", "=", rollout.id).execute();
    await keepPreviousImages(db, rollout);
  }
  return APPLIED;
}

/** What the rollout's machines may be taken back to by another one. */
async function keepPreviousImages(db: Db, rollout: RolloutRecord): Promise<void> {
  for (const { siteId, replaces, digests } of previousImages(rollout)) {
    if (replaces) await db.deleteFrom("previous_images").where("site_id", "=", siteId).execute();
    await db
      .insertInto("previous_images")
      .values(digests.map(digest => ({ site_id: siteId, digest, rollout_id: rollout.id })))
      .onConflict(conflict => conflict.columns(["site_id", "digest"]).doUpdateSet({ rollout_id: rollout.id }))
      .execute();
  }
}

/** Rows in one statement: SQLite takes 32,766 values in one, and there are two in each of these rows. */
const BATCH_ROWS = 1_000;

function* inBatches<Row>(rows: readonly Row[]): Generator<Row[]> {
  for (let from = 0; from < rows.length; from += BATCH_ROWS) yield rows.slice(from, from + BATCH_ROWS);
}

async function staleOrMissing(
  db: Db,
  table: "sites" | "machines" | "rollouts",
  id: string,
): Promise<ChangeOutcome> {
  const row = await db.selectFrom(table).select("id").where("id", "=", id).executeTakeFirst();
  return { kind: "refused", reason: row === undefined ? "missing" : "stale" };
}

async function insertMacs(db: Db, machineId: string, macs: readonly MacAddress[]): Promise<void> {
  if (macs.length === 0) return;
  const rows = macs.map((mac, position) => ({ mac, machine_id: machineId, position }));
  await db.insertInto("machine_macs").values(rows).execute();
}

async function requireImage(db: Db, digest: string): Promise<ChangeOutcome> {
  const row = await db.selectFrom("images").select("digest").where("digest", "=", digest).executeTakeFirst();
  return row === undefined ? { kind: "refused", reason: "missing" } : APPLIED;
}

/** Refused as stale while anything needs the image: asked in the same transaction. */
async function deleteImage(
  db: Db,
  { digest, keepPrevious }: Extract<StoreChange, { kind: "delete-image" }>,
): Promise<ChangeOutcome> {
  const machine = db
    .selectFrom("machines")
    .select("id")
    .where(({ eb, or }) =>
      or([
        eb("running_image", "=", digest),
        eb("wanted_image", "=", digest),
        eb("target_image", "=", digest),
      ]),
    );
  const site = db.selectFrom("sites").select("id").where("baseline", "=", digest);
  const rollout = db.selectFrom("rollout_images").select("rollout_id").where("digest", "=", digest);
  const users = [
    await machine.limit(1).executeTakeFirst(),
    await site.limit(1).executeTakeFirst(),
    await rollout.limit(1).executeTakeFirst(),
    await db.selectFrom("image_tags").select("tag").where("digest", "=", digest).limit(1).executeTakeFirst(),
    keepPrevious
      ? await db
          .selectFrom("previous_images")
          .select("site_id")
          .where("digest", "=", digest)
          .limit(1)
          .executeTakeFirst()
      : undefined,
  ];
  if (users.some(user => user !== undefined)) return { kind: "refused", reason: "stale" };
  const { numDeletedRows } = await db.deleteFrom("images").where("digest", "=", digest).executeTakeFirst();
  return presentIf(numDeletedRows);
}

async function appendEvent(db: Db, event: NewEvent): Promise<EventRecord> {
  const counter = await db
    .insertInto("counters")
    .values({ name: "events", value: 1 })
    .onConflict(conflict =>
      conflict.column("name").doUpdateSet(({ eb }) => ({ value: eb("counters.value", "+", 1) })),
    )
    .returning("value")
    .executeTakeFirstOrThrow();
  const record: EventRecord = { ...event, id: toNumber(counter.value) };
  await db.insertInto("events").values(eventToRow(record)).execute();
  if (record.id % PRUNE_EVERY === 0) {
    await db
      .deleteFrom("events")
      .where("id", "<=", record.id - KEPT_EVENTS)
      .execute();
  }
  return record;
}
