/** Tags as portable SQL: where each stands, where it stood, and how one moves. */
import type { Kysely, Transaction } from "kysely";
import type { ChangeOutcome } from "./change-outcome.ts";
import type { ImageTagRecord, StoreChange } from "./ports.ts";
import { imageTagToRow, rowToImageTag, toNumber } from "./rows.ts";
import type { Schema } from "./schema.ts";

type Db = Kysely<Schema>;

export async function listImageTags(db: Db): Promise<ImageTagRecord[]> {
  const rows = await db
    .selectFrom("image_tags")
    .selectAll()
    .where("digest", "is not", null)
    .orderBy("name")
    .orderBy("tag")
    .execute();
  return rows.map(rowToImageTag);
}

export async function findImageTag(db: Db, name: string, tag: string): Promise<ImageTagRecord | undefined> {
  const row = await db
    .selectFrom("image_tags")
    .selectAll()
    .where("name", "=", name)
    .where("tag", "=", tag)
    .executeTakeFirst();
  return row === undefined ? undefined : rowToImageTag(row);
}

export async function listImageTagMoves(
  db: Db,
  name: string,
  tag: string,
  limit: number,
): Promise<ImageTagRecord[]> {
  const rows = await db
    .selectFrom("image_tag_moves")
    .selectAll()
    .where("name", "=", name)
    .where("tag", "=", tag)
    .orderBy("revision", "desc")
    .limit(limit)
    .execute();
  return rows.map(rowToImageTag);
}

/** Asks in the same transaction whether the image is there, so that no tag outlives its image. */
export async function setImageTag(
  db: Transaction<Schema>,
  { tag, expectedRevision }: Extract<StoreChange, { kind: "set-image-tag" }>,
): Promise<ChangeOutcome> {
  const ofName = db.selectFrom("images").select("digest").where("name", "=", tag.name);
  if (tag.digest !== null) {
    const image = await ofName.where("digest", "=", tag.digest).executeTakeFirst();
    if (image === undefined) return { kind: "refused", reason: "missing" };
    const version = await ofName.where("version", "=", tag.tag).limit(1).executeTakeFirst();
    if (version !== undefined) return { kind: "refused", reason: "taken" };
  }
  const current = await findImageTag(db, tag.name, tag.tag);
  if ((current?.revision ?? 0) !== expectedRevision) return { kind: "refused", reason: "stale" };
  const row = imageTagToRow(tag);
  const { numInsertedOrUpdatedRows } = await db
    .insertInto("image_tags")
    .values(row)
    .onConflict(conflict =>
      conflict.columns(["name", "tag"]).doUpdateSet(row).where("image_tags.revision", "=", expectedRevision),
    )
    .executeTakeFirst();
  if (toNumber(numInsertedOrUpdatedRows ?? 0n) === 0) return { kind: "refused", reason: "stale" };
  await db.insertInto("image_tag_moves").values(row).execute();
  return { kind: "applied" };
}
