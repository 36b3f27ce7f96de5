/** Tags of images with their history, and what each site ran before its last rollout. */
import type { Kysely } from "kysely";
import type { Migration } from "kysely/migration";

export const imageTags: Migration = {
  async up(db: Kysely<unknown>) {
    // The newest state of each tag, and every state that it has had: the same columns.
    for (const table of ["image_tags", "image_tag_moves"]) {
      const key = ["name", "tag", ...(table === "image_tags" ? [] : ["revision"])] as never[];
      await db.schema
        .createTable(table)
        .addColumn("name", "text", column => column.notNull())
        .addColumn("tag", "text", column => column.notNull())
        .addColumn("digest", "text")
        .addColumn("version", "text")
        .addColumn("moved_at", "bigint", column => column.notNull())
        .addColumn("moved_by", "text", column => column.notNull())
        .addColumn("reason", "text")
        .addColumn("revision", "bigint", column => column.notNull())
        .addPrimaryKeyConstraint(`${table}_key`, key)
        .execute();
    }
    await db.schema.createIndex("image_tags_digest").on("image_tags").column("digest").execute();

    await db.schema
      .createTable("previous_images")
      .addColumn("site_id", "text", column => column.notNull())
      .addColumn("digest", "text", column => column.notNull())
      .addColumn("rollout_id", "text", column => column.notNull())
      .addPrimaryKeyConstraint("previous_images_key", ["site_id", "digest"])
      .execute();
    await db.schema.createIndex("previous_images_digest").on("previous_images").column("digest").execute();
  },
};
