import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { recordPushedImage } from "../../src/api/record-pushed-image.ts";
import { keepImageHistory } from "../../src/daemon/io/keep-image-history.ts";
import { openRegistry, type Registry } from "../../src/images/io/registry.ts";
import { CHUNK_BYTES } from "../../src/images/manifest.ts";
import { openSqliteStore } from "../../src/store/open-sqlite.ts";
import type { Store } from "../../src/store/ports.ts";
import { makeBundle, makeKey, noise, streamOf } from "../images/bundles.ts";
import { NOW } from "../store/records.ts";

const key = makeKey();
let dir: string;
let store: Store;
let registry: Registry;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "drp-keep-"));
  store = await openSqliteStore({ file: join(dir, "drp.db") });
  registry = await openRegistry(join(dir, "images"));
});
afterEach(async () => {
  await store.close();
  await rm(dir, { recursive: true });
});

async function push(release: number): Promise<string> {
  const image = noise(2 * CHUNK_BYTES, 1);
  noise(4096, release).copy(image, 8192);
  const bundle = await makeBundle(image, key, "frames", { version: `v${release}`, release });
  const pushed = await registry.ingestBundle(streamOf(bundle.bytes), [key]);
  await recordPushedImage({ store, registry }, pushed, { tokenId: "t", name: "ci", role: "ci" }, NOW);
  return pushed.digest;
}

const deltas = async () =>
  (await readdir(join(dir, "images/history"))).filter(name => name.endsWith(".delta"));

test("after a push the image before it becomes a delta, made by a process of its own, unless a tag holds it", async () => {
  const errors: unknown[] = [];
  const history = keepImageHistory({
    store,
    registry,
    deltaProcessCommand: [process.execPath, join(import.meta.dirname, "../../src/main.ts"), "delta-process"],
    clock: () => NOW,
    onError: (_context, error) => errors.push(error),
  });
  const first = await push(1);
  await store.commit([
    {
      kind: "set-image-tag",
      tag: {
        name: "golden",
        tag: "stable",
        digest: first,
        version: "v1",
        movedAt: NOW,
        movedBy: "ci",
        reason: null,
        revision: 1,
      },
      expectedRevision: 0,
    },
  ]);
  const second = await push(2);
  await push(3);
  await vi.waitFor(
    async () => expect(await deltas()).toEqual([`${second.slice("sha256:".length)}.delta`]),
    20_000,
  );
  await history.stop();
  expect(errors).toEqual([]);
  for (const digest of [first, second]) {
    const reader = await registry.openImage(digest);
    expect((await reader?.readChunk(0))?.length).toBe(CHUNK_BYTES);
  }
});
