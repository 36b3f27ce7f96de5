/** Rollouts: what sites and machines should run, sites that join from elsewhere, and images that a gate has refused. */
import type { Kysely } from "kysely";
import type { Migration } from "kysely/migration";

export const rollouts: Migration = {
  async up(db: Kysely<unknown>) {
    // One column a statement: SQLite takes no more.
    for (const name of ["baseline", "membership", "join_token_hash", "key_fingerprint"]) {
      await db.schema.alterTable("sites").addColumn(name, "text").execute();
    }
    await db.schema.alterTable("sites").addColumn("last_seen_at", "bigint").execute();
    await db.schema.createIndex("sites_baseline").on("sites").column("baseline").execute();
    for (const column of ["join_token_hash", "key_fingerprint"]) {
      await db.schema.createIndex(`sites_${column}`).unique().on("sites").column(column).execute();
    }

    for (const name of ["target", "target_image"]) {
      await db.schema.alterTable("machines").addColumn(name, "text").execute();
    }
    await db.schema
      .alterTable("machines")
      .addColumn("denied", "text", column => column.notNull().defaultTo("[]"))
      .execute();
    await db.schema.createIndex("machines_target_image").on("machines").column("target_image").execute();

    await db.schema
      .createTable("rollouts")
      .addColumn("id", "text", column => column.primaryKey())
      .addColumn("state_kind", "text", column => column.notNull())
      .addColumn("is_open", "bigint", column => column.notNull())
      .addColumn("record", "text", column => column.notNull())
      .addColumn("created_at", "bigint", column => column.notNull())
      .addColumn("revision", "bigint", column => column.notNull())
      .execute();
    await db.schema.createIndex("rollouts_created").on("rollouts").columns(["created_at", "id"]).execute();

    await db.schema
      .createTable("rollout_sites")
      .addColumn("site_id", "text", column => column.primaryKey())
      .addColumn("rollout_id", "text", column => column.notNull().references("rollouts.id"))
      .execute();
    await db.schema.createIndex("rollout_sites_rollout").on("rollout_sites").column("rollout_id").execute();

    await db.schema
      .createTable("rollout_images")
      .addColumn("digest", "text", column => column.notNull())
      .addColumn("rollout_id", "text", column => column.notNull().references("rollouts.id"))
      .addPrimaryKeyConstraint("rollout_images_key", ["digest", "rollout_id"])
      .execute();
    await db.schema.createIndex("rollout_images_rollout").on("rollout_images").column("rollout_id").execute();

    await db.schema
      .createTable("denied_images")
      .addColumn("digest", "text", column => column.primaryKey())
      .addColumn("reason", "text", column => column.notNull())
      .addColumn("rollout_id", "text", column => column.notNull())
      .addColumn("at", "bigint", column => column.notNull())
      .execute();
  },
};
