import Database from "better-sqlite3";
import { Kysely, SqliteDialect, sql } from "kysely";
import { expect, test } from "vitest";
import { parseKeyChain } from "../../src/images/key-chain.ts";
import { firstTables } from "../../src/store/migrations/0001-first-tables.ts";
import { trust } from "../../src/store/migrations/0003-trust.ts";
import type { Schema } from "../../src/store/schema.ts";
import { listKeyLists } from "../../src/store/trust.ts";
import { makeKey } from "../images/bundles.ts";

test("keys that a hub had trusted one by one become its first key list", async () => {
  const db = new Kysely<Schema>({ dialect: new SqliteDialect({ database: new Database(":memory:") }) });
  await firstTables.up(db);
  const keys = [makeKey(), makeKey()];
  for (const [index, { keyId, publicKeyPem }] of keys.entries()) {
    await sql`insert into image_keys values (${keyId}, ${`ci-${index}`}, ${publicKeyPem}, ${1_790_000_000_000 + index}, 'ops')`.execute(
      db,
    );
  }
  await trust.up(db);
  const records = await listKeyLists(db);
  expect(records).toMatchObject([{ version: 1, publishedAt: 1_790_000_000_001, publishedBy: "ops" }]);
  const [first] = parseKeyChain(records.map(({ signed }) => signed));
  expect(first?.list.keys.map(({ keyId, name }) => [keyId, name])).toEqual(
    keys.map(({ keyId }, index) => [keyId, `ci-${index}`]),
  );
  await db.destroy();
});
