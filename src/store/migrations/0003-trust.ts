/** Key lists in place of single keys, releases of images, and the floor under them. */
import { type Kysely, sql } from "kysely";
import type { Migration } from "kysely/migration";

export const trust: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable("key_lists")
      .addColumn("version", "bigint", column => column.primaryKey())
      .addColumn("list_text", "text", column => column.notNull())
      .addColumn("signature", "text")
      .addColumn("published_at", "bigint", column => column.notNull())
      .addColumn("published_by", "text", column => column.notNull())
      .execute();
    await firstList(db);
    await db.schema.dropTable("image_keys").execute();

    await db.schema
      .alterTable("images")
      .addColumn("release", "bigint", column => column.notNull().defaultTo(1))
      .execute();
    await db.schema
      .alterTable("images")
      .addColumn("minimum_release", "bigint", column => column.notNull().defaultTo(0))
      .execute();
    await db.schema
      .createTable("release_floors")
      .addColumn("image_name", "text", column => column.primaryKey())
      .addColumn("release", "bigint", column => column.notNull())
      .addColumn("rollout_id", "text")
      .addColumn("reason", "text", column => column.notNull())
      .addColumn("set_at", "bigint", column => column.notNull())
      .addColumn("set_by", "text", column => column.notNull())
      .execute();
  },
};

/** The keys that were trusted one by one become list 1: canonical JSON (RFC 8785), its keys in the order of their letters. */
async function firstList(db: Kysely<unknown>): Promise<void> {
  const { rows } = await sql<{
    key_id: string;
    name: string;
    public_key_pem: string;
    trusted_at: number | string;
    trusted_by: string;
  }>`select * from image_keys order by trusted_at`.execute(db);
  const last = rows.at(-1);
  if (last === undefined) return;
  const publishedAt = Number(last.trusted_at);
  const listText = JSON.stringify({
    createdAt: new Date(publishedAt).toISOString(),
    formatVersion: 1,
    keys: rows.map(row => ({
      expiresAt: null,
      keyId: row.key_id,
      name: row.name,
      publicKeyPem: row.public_key_pem,
    })),
    version: 1,
  });
  await sql`insert into key_lists (version, list_text, signature, published_at, published_by)
    values (1, ${listText}, null, ${publishedAt}, ${last.trusted_by})`.execute(db);
}
