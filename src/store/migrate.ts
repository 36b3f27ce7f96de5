/** Brings a database to the newest schema. The list is static, so that it works from a bundled executable. */
import type { Kysely } from "kysely";
import { type Migration, Migrator } from "kysely/migration";
import { firstTables } from "./migrations/0001-first-tables.ts";
import { rollouts } from "./migrations/0002-rollouts.ts";
import { trust } from "./migrations/0003-trust.ts";
import { imageTags } from "./migrations/0004-image-tags.ts";
import { siteTransfers } from "./migrations/0005-site-transfers.ts";

/** Applied in the order of their names; a name that was released is never changed. */
const MIGRATIONS: Record<string, Migration> = {
  "0001-first-tables": firstTables,
  "0002-rollouts": rollouts,
  "0003-trust": trust,
  "0004-image-tags": imageTags,
  "0005-site-transfers": siteTransfers,
};

/** Runs what has not run yet. @throws the first migration's error; what it did is rolled back */
export async function migrate<T>(db: Kysely<T>): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => MIGRATIONS } });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) throw error;
}
