/** The first tables: sites, machines, images, tokens, image keys, events. */
import type { Kysely } from "kysely";
import type { Migration } from "kysely/migration";

export const firstTables: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable("sites")
      .addColumn("id", "text", column => column.primaryKey())
      .addColumn("name", "text", column => column.notNull().unique())
      .addColumn("labels", "text", column => column.notNull())
      .addColumn("unknown_policy", "text", column => column.notNull())
      .addColumn("created_at", "bigint", column => column.notNull())
      .addColumn("revision", "bigint", column => column.notNull())
      .execute();

    await db.schema
      .createTable("machines")
      .addColumn("id", "text", column => column.primaryKey())
      .addColumn("site_id", "text", column => column.notNull().references("sites.id"))
      .addColumn("name", "text", column => column.notNull().unique())
      .addColumn("labels", "text", column => column.notNull())
      .addColumn("inventory", "text")
      .addColumn("key_fingerprint", "text")
      .addColumn("install_generation", "bigint", column => column.notNull())
      .addColumn("state_kind", "text", column => column.notNull())
      .addColumn("wanted_image", "text")
      .addColumn("running_image", "text")
      .addColumn("state", "text", column => column.notNull())
      .addColumn("running", "text")
      .addColumn("created_at", "bigint", column => column.notNull())
      .addColumn("updated_at", "bigint", column => column.notNull())
      .addColumn("last_seen_at", "bigint")
      .addColumn("revision", "bigint", column => column.notNull())
      .execute();
    await db.schema.createIndex("machines_site_name").on("machines").columns(["site_id", "name"]).execute();
    await db.schema
      .createIndex("machines_state_name")
      .on("machines")
      .columns(["state_kind", "name"])
      .execute();
    await db.schema.createIndex("machines_wanted_image").on("machines").column("wanted_image").execute();
    await db.schema.createIndex("machines_running_image").on("machines").column("running_image").execute();

    await db.schema
      .createTable("machine_macs")
      .addColumn("mac", "text", column => column.primaryKey())
      .addColumn("machine_id", "text", column =>
        column.notNull().references("machines.id").onDelete("cascade"),
      )
      .addColumn("position", "bigint", column => column.notNull())
      .execute();
    await db.schema.createIndex("machine_macs_machine").on("machine_macs").column("machine_id").execute();

    await db.schema
      .createTable("images")
      .addColumn("digest", "text", column => column.primaryKey())
      .addColumn("name", "text", column => column.notNull())
      .addColumn("version", "text", column => column.notNull())
      .addColumn("architecture", "text", column => column.notNull())
      .addColumn("size_bytes", "bigint", column => column.notNull())
      .addColumn("data_bytes", "bigint", column => column.notNull())
      .addColumn("key_id", "text", column => column.notNull())
      .addColumn("pushed_at", "bigint", column => column.notNull())
      .addColumn("pushed_by", "text", column => column.notNull())
      .execute();

    await db.schema
      .createTable("tokens")
      .addColumn("id", "text", column => column.primaryKey())
      .addColumn("name", "text", column => column.notNull().unique())
      .addColumn("role", "text", column => column.notNull())
      .addColumn("secret_hash", "text", column => column.notNull().unique())
      .addColumn("created_at", "bigint", column => column.notNull())
      .addColumn("expires_at", "bigint")
      .execute();

    await db.schema
      .createTable("image_keys")
      .addColumn("key_id", "text", column => column.primaryKey())
      .addColumn("name", "text", column => column.notNull().unique())
      .addColumn("public_key_pem", "text", column => column.notNull())
      .addColumn("trusted_at", "bigint", column => column.notNull())
      .addColumn("trusted_by", "text", column => column.notNull())
      .execute();

    await db.schema
      .createTable("events")
      .addColumn("id", "bigint", column => column.primaryKey())
      .addColumn("at", "bigint", column => column.notNull())
      .addColumn("kind", "text", column => column.notNull())
      .addColumn("severity", "text", column => column.notNull())
      .addColumn("site_id", "text")
      .addColumn("machine_id", "text")
      .addColumn("mac", "text")
      .addColumn("summary", "text", column => column.notNull())
      .addColumn("facts", "text", column => column.notNull())
      .execute();
    await db.schema.createIndex("events_machine").on("events").columns(["machine_id", "id"]).execute();
    await db.schema.createIndex("events_mac").on("events").columns(["mac", "id"]).execute();
    await db.schema.createIndex("events_site").on("events").columns(["site_id", "id"]).execute();

    await db.schema
      .createTable("counters")
      .addColumn("name", "text", column => column.primaryKey())
      .addColumn("value", "bigint", column => column.notNull())
      .execute();
  },
};
