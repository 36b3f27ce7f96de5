/** What the store keeps of trust: every key list, and the release below which an image's name is not rolled out again. */
import type { Kysely, Selectable } from "kysely";
import type { KeyListRecord, ReleaseFloorRecord, StoreChange } from "./ports.ts";
import { toNumber } from "./rows.ts";
import type { ReleaseFloorsTable, Schema } from "./schema.ts";

type Db = Kysely<Schema>;

export async function listKeyLists(db: Db): Promise<KeyListRecord[]> {
  const rows = await db.selectFrom("key_lists").selectAll().orderBy("version").execute();
  return rows.map(row => ({
    version: toNumber(row.version),
    signed: {
      listText: row.list_text,
      signature: row.signature === null ? null : JSON.parse(row.signature),
    },
    publishedAt: toNumber(row.published_at),
    publishedBy: row.published_by,
  }));
}

/** @throws the database's own error when the version is taken */
export async function insertKeyList(db: Db, { version, signed, ...record }: KeyListRecord): Promise<void> {
  await db
    .insertInto("key_lists")
    .values({
      version,
      list_text: signed.listText,
      signature: signed.signature === null ? null : JSON.stringify(signed.signature),
      published_at: record.publishedAt,
      published_by: record.publishedBy,
    })
    .execute();
}

/** In the order of the images' names. */
export async function listReleaseFloors(db: Db): Promise<ReleaseFloorRecord[]> {
  const rows = await db.selectFrom("release_floors").selectAll().orderBy("image_name").execute();
  return rows.map(rowToFloor);
}

/** A floor that is as high already stays as it is. */
export async function raiseReleaseFloor(db: Db, floor: ReleaseFloorRecord): Promise<void> {
  const row = floorToRow(floor);
  await db
    .insertInto("release_floors")
    .values(row)
    .onConflict(conflict =>
      conflict.column("image_name").doUpdateSet(row).where("release_floors.release", "<", floor.release),
    )
    .execute();
}

/** @returns whether the floor was where the change expected it */
export async function lowerReleaseFloor(
  db: Db,
  { floor, expectedRelease }: Extract<StoreChange, { kind: "lower-release-floor" }>,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable("release_floors")
    .set(floorToRow(floor))
    .where("image_name", "=", floor.imageName)
    .where("release", "=", expectedRelease)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

function floorToRow(floor: ReleaseFloorRecord): ReleaseFloorsTable {
  return {
    image_name: floor.imageName,
    release: floor.release,
    rollout_id: floor.rolloutId,
    reason: floor.reason,
    set_at: floor.setAt,
    set_by: floor.setBy,
  };
}

function rowToFloor(row: Selectable<ReleaseFloorsTable>): ReleaseFloorRecord {
  return {
    imageName: row.image_name,
    release: toNumber(row.release),
    rolloutId: row.rollout_id,
    reason: row.reason,
    setAt: toNumber(row.set_at),
    setBy: row.set_by,
  };
}
