import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type SiteChannel, startSiteChannel } from "../../../src/agent/hub/io/site-channel.ts";
import { HubClient } from "../../../src/agent/site/io/hub-client.ts";
import { SiteImages } from "../../../src/agent/site/io/site-images.ts";
import { chunkDigest } from "../../../src/images/digest.ts";
import { encodeChunk } from "../../../src/images/io/chunk-codec.ts";
import { type ImageRegistry, openRegistry } from "../../../src/images/io/registry.ts";
import { openSqliteStore } from "../../../src/store/open-sqlite.ts";
import type { Store } from "../../../src/store/ports.ts";
import { type Fleet, openFleet } from "../../helpers/fleet.ts";
import { makeBundle, makeKey, smallImage } from "../../images/bundles.ts";
import { NOW, siteRecord } from "../../store/records.ts";

let dir: string;
let store: Store;
let fleet: Fleet;
let registry: ImageRegistry;
let channel: SiteChannel;
let client: HubClient;
let images: SiteImages;
let digest: string;
/** Every chunk and manifest that went over the line. */
let fetched: string[];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "drp-cache-"));
  store = await openSqliteStore({ file: join(dir, "drp.db") });
  fleet = await openFleet(join(dir, "ca"));
  const { keyFingerprint } = fleet.site;
  const membership = { kind: "joined", keyFingerprint, joinedAt: NOW, reportsKept: 0 } as const;
  await store.commit([{ kind: "insert-site", site: siteRecord({ id: "s-1", name: "shop-1", membership }) }]);
  registry = await openRegistry(join(dir, "registry"));
  const key = makeKey();
  ({ digest } = await registry.ingestBundle(Readable.from([(await makeBundle(smallImage(), key)).bytes]), [
    key,
  ]));
  fetched = [];
  channel = await startSiteChannel({
    store,
    registry: {
      manifest(wanted) {
        fetched.push(wanted);
        return registry.manifest(wanted);
      },
      findChunk(wanted) {
        fetched.push(wanted);
        return registry.findChunk(wanted);
      },
    },
    port: 0,
    tls: fleet.hubTls,
    caPem: fleet.caPem,
    clock: () => NOW,
    onError: () => {},
  });
  client = new HubClient({
    url: `https://127.0.0.1:${channel.port}`,
    caPem: fleet.caPem,
    tls: fleet.site.tls,
  });
  images = await SiteImages.open(client, join(dir, "cache"));
});
afterEach(async () => {
  client.close();
  await channel.stop();
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

async function firstChunk(): Promise<string> {
  const signed = await images.signedManifest(digest);
  const [chunk] = JSON.parse(signed?.manifestText ?? "{}").payloads[0].chunks.filter(
    (name: unknown) => name !== null,
  );
  return chunk;
}

test("a chunk comes over the line once, however many machines ask, and is the hub's frame", async () => {
  const chunk = await firstChunk();
  const [path = "", ...others] = await Promise.all([1, 2, 3].map(() => images.findChunk(chunk)));
  expect(others).toEqual([path, path]);
  expect(readFileSync(path)).toEqual(readFileSync((await registry.findChunk(chunk)) ?? ""));
  expect(await images.findChunk(chunk)).toBe(path);
  expect(fetched).toEqual([digest, chunk]);
});

test("what was fetched is served with the WAN down, also after a restart; the rest says that the hub is away", async () => {
  const chunk = await firstChunk();
  await images.findChunk(chunk);
  client.close();
  const later = await SiteImages.open(client, join(dir, "cache"));
  expect(await later.signedManifest(digest)).toBeDefined();
  expect(await later.findChunk(chunk)).toBeDefined();
  await expect(later.signedManifest(`sha256:${"0".repeat(64)}`)).rejects.toMatchObject({
    code: "hub.unreachable",
  });
});

test("a chunk that no manifest of the site names is not even asked for", async () => {
  const chunk = await firstChunk();
  const stranger = await SiteImages.open(client, join(dir, "other"));
  expect(await stranger.findChunk(chunk)).toBeUndefined();
  expect(await images.signedManifest(`sha256:${"0".repeat(64)}`)).toBeUndefined();
  expect(fetched).not.toContain(chunk);
});

test("a chunk with other bytes than its name says is not kept, and asked for again", async () => {
  const chunk = await firstChunk();
  const plainBytes = 1024 * 1024;
  const wrong = Buffer.alloc(plainBytes, 7);
  expect(chunkDigest(wrong)).not.toBe(chunk);
  let asked = 0;
  const line = {
    manifest: (wanted: string) => client.manifest(wanted),
    chunk: async () =>
      asked++ === 0 ? encodeChunk(wrong) : readFileSync((await registry.findChunk(chunk)) ?? ""),
  };
  const careful = await SiteImages.open(line, join(dir, "careful"));
  await careful.signedManifest(digest);
  await expect(careful.findChunk(chunk)).rejects.toMatchObject({ code: "bundle.tampered" });
  expect(await careful.findChunk(chunk)).toBeDefined();
});
