import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import Database from "better-sqlite3";
import { Kysely, SqliteDialect } from "kysely";
import { Migrator } from "kysely/migration";
import { expect, test } from "vitest";
import { firstTables } from "../../src/store/migrations/0001-first-tables.ts";
import { openSqliteStore } from "../../src/store/open-sqlite.ts";
import type { Store } from "../../src/store/ports.ts";
import type { Schema } from "../../src/store/schema.ts";
import { describeStoreContract } from "./contract.ts";
import { machineRecord, macOf, NOW, siteRecord } from "./records.ts";

function temporaryFolder(): Disposable & { path: string } {
  const path = mkdtempSync(join(tmpdir(), "drp-store-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

async function openTemporary(): Promise<Store & AsyncDisposable> {
  const folder = temporaryFolder();
  const store = await openSqliteStore({ file: join(folder.path, "drp.db") });
  return Object.assign(store, {
    async [Symbol.asyncDispose]() {
      await store.close();
      folder[Symbol.dispose]();
    },
  });
}

describeStoreContract("SQLite", openTemporary);

test("a store that is opened again holds what was committed", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "drp.db");
  const first = await openSqliteStore({ file });
  await first.commit([{ kind: "insert-site", site: siteRecord({ labels: { a: "b" } }) }]);
  await first.close();
  const second = await openSqliteStore({ file });
  expect(await second.findSite("local")).toEqual(siteRecord({ labels: { a: "b" } }));
  await second.close();
});

test("every commit that was acknowledged survives kill -9", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "drp.db");
  const child = spawn(process.execPath, [join(import.meta.dirname, "commit-forever.ts"), file], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  let acknowledged = 0;
  for await (const chunk of child.stdout) {
    acknowledged = Number(String(chunk).trim().split("\n").at(-1));
    if (acknowledged >= 200) break;
  }
  child.kill("SIGKILL");
  await exited;
  const store = await openSqliteStore({ file });
  const events = await store.listEvents({ limit: 100_000, from: "oldest" });
  await store.close();
  expect(events.length).toBeGreaterThanOrEqual(acknowledged);
  expect(events.map(event => event.id)).toEqual(events.map((_, index) => index + 1));
});

test("a file that is no database is refused with what to do", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "drp.db");
  writeFileSync(file, "this is not a database, and longer than its header would be".repeat(50));
  await expect(openSqliteStore({ file })).rejects.toMatchObject({
    code: "data.unwritable",
    advice: expect.stringContaining("backup"),
  });
});

test("on a full disk a commit is refused as storage.full, and nothing that was acknowledged is lost", async context => {
  using folder = temporaryFolder();
  const script = `mount -t tmpfs -o size=2m none "$0" || exit 77; exec "$1" "$2" "$0/drp.db"`;
  const filler = join(import.meta.dirname, "fill-disk.ts");
  const child = spawn("unshare", ["-m", "sh", "-c", script, folder.path, process.execPath, filler], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const exited = once(child, "close");
  const output = await text(child.stdout);
  const [exitCode] = await exited;
  if (exitCode === 77 || exitCode === 1) context.skip("needs the right to mount a small file system");
  const { acknowledged, kept, code } = JSON.parse(output);
  expect(code).toBe("storage.full");
  expect(acknowledged).toBeGreaterThan(5);
  expect(kept).toBe(acknowledged);
});

test("a database of the first release opens with everything that it held", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "drp.db");
  const old = new Database(file);
  const db = new Kysely<Schema>({ dialect: new SqliteDialect({ database: old }) });
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => ({ "0001-first-tables": firstTables }) },
  });
  await migrator.migrateToLatest();
  old.exec(`
    insert into sites values ('s-local', 'local', '{"a":"b"}', 'discover', ${NOW}, 1);
    insert into machines (id, site_id, name, labels, install_generation, state_kind, state, created_at, updated_at, revision)
      values ('m-1', 's-local', 'node-1', '{}', 0, 'expected', '{"kind":"expected"}', ${NOW}, ${NOW}, 1);
    insert into machine_macs values ('${macOf(1)}', 'm-1', 0);`);
  await db.destroy();
  const store = await openSqliteStore({ file });
  expect(await store.findSite("local")).toEqual(siteRecord({ labels: { a: "b" } }));
  expect(await store.findMachine("node-1")).toEqual(machineRecord());
  await store.close();
});
