/** What a site's line may carry of images, and whose calendar and time of day that goes by. */
import type { Kysely } from "kysely";
import type { Migration } from "kysely/migration";

export const siteTransfers: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .alterTable("sites")
      .addColumn("time_zone", "text", column => column.notNull().defaultTo("UTC"))
      .execute();
    await db.schema.alterTable("sites").addColumn("transfer_limits", "text").execute();
  },
};
