import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { SignedKeyList } from "../../src/images/key-list.ts";
import { loadSignerRefusals } from "../../src/rollout/io/load-image-standing.ts";
import { loadKeyChain, loadKnownKeys } from "../../src/rollout/io/load-key-chain.ts";
import { openSqliteStore } from "../../src/store/open-sqlite.ts";
import type { Store } from "../../src/store/ports.ts";
import { makeKey } from "../images/bundles.ts";
import { firstKeyList, signedKeyList } from "../images/key-lists.ts";
import { NOW } from "../store/records.ts";

const [old, next, foreign] = [makeKey(), makeKey(), makeKey()];
let dir: string;
let store: Store;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "drp-key-chain-"));
  store = await openSqliteStore({ file: join(dir, "drp.db") });
});
afterEach(async () => {
  await store.close();
  await rm(dir, { recursive: true });
});

const insert = (version: number, signed: SignedKeyList) =>
  store.commit([
    { kind: "insert-key-list", keyList: { version, signed, publishedAt: NOW, publishedBy: "admin" } },
  ]);

test("a chain of key lists is checked once, and again when it has grown", async () => {
  expect(await loadKeyChain(store)).toEqual([]);
  const [first] = firstKeyList(old);
  if (first === undefined) throw new Error("a chain of one");
  await insert(1, first);
  const chain = await loadKeyChain(store);
  expect(chain.map(({ list }) => list.version)).toEqual([1]);
  expect(await loadKeyChain(store)).toBe(chain);
  await insert(2, signedKeyList(2, [next], old));
  expect((await loadKeyChain(store)).map(({ list }) => list.version)).toEqual([1, 2]);
  expect(await loadKnownKeys(store, NOW)).toMatchObject([
    { keyId: next.keyId },
    { keyId: old.keyId, refusal: { keyName: "key-0" } },
  ]);
  expect((await loadSignerRefusals(store, NOW))(old.keyId)).toContain("was rotated out by key list 2");
});

test("a list that was changed in the store is not taken for the one that was checked", async () => {
  const [first] = firstKeyList(old);
  if (first === undefined) throw new Error("a chain of one");
  const second = signedKeyList(2, [next], old);
  await insert(1, first);
  await insert(2, second);
  await loadKeyChain(store);
  const database = new Database(join(dir, "drp.db"));
  const change = database.prepare("update key_lists set list_text = ?, signature = ? where version = 2");
  const { signature } = signedKeyList(2, [next], foreign);
  change.run(second.listText, JSON.stringify(signature));
  await expect(loadKeyChain(store)).rejects.toThrow("key list 2 is signed by key");
  change.run(second.listText.replace("key-0", "key-1"), JSON.stringify(second.signature));
  await expect(loadKeyChain(store)).rejects.toThrow("key list 2 is not what key key-0 signed");
  change.run(second.listText, JSON.stringify(second.signature));
  expect(await loadKeyChain(store)).toHaveLength(2);
  database.close();
});
