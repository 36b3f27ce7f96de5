/** A hub with images, a WAN line that is counted and can be cut, and the images of a site behind it. All real, over TLS. */
import { mkdtempSync, rmSync } from "node:fs";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type SiteChannel, startSiteChannel } from "../../../src/agent/hub/io/site-channel.ts";
import { HubClient } from "../../../src/agent/site/io/hub-client.ts";
import { SiteImages, type SiteImagesOptions } from "../../../src/agent/site/io/site-images.ts";
import type { BootEvent, SiteView } from "../../../src/agent/site/view.ts";
import type { DeltaOffer, DeltaSource } from "../../../src/images/delta-source.ts";
import { writeDelta } from "../../../src/images/io/delta-file.ts";
import { type ImageRegistry, openRegistry } from "../../../src/images/io/registry.ts";
import type { ImageDigest, Manifest } from "../../../src/images/manifest.ts";
import { NO_LIMITS } from "../../../src/images/transfer-limits.ts";
import { openSqliteStore } from "../../../src/store/open-sqlite.ts";
import type { Store } from "../../../src/store/ports.ts";
import { type Fleet, openFleet } from "../../helpers/fleet.ts";
import { intentWith } from "../../helpers/machines.ts";
import { sha256OfFile } from "../../helpers/sha256-of-file.ts";
import { WanProxy } from "../../helpers/wan-proxy.ts";
import { makeBundle, makeKey, noise, streamOf, type TestKey } from "../../images/bundles.ts";
import { firstKeyList } from "../../images/key-lists.ts";
import { NOW, siteRecord } from "../../store/records.ts";

const MIB = 1024 * 1024;

/** Its keys take a second to make. */
let fleetOfAll: Promise<Fleet> | undefined;

function sharedFleet(): Promise<Fleet> {
  fleetOfAll ??= (async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), "drp-ca-"));
    return await openFleet(folder.path);
  })();
  return fleetOfAll;
}

export class WanSite implements AsyncDisposable {
  readonly dir = mkdtempSync(join(tmpdir(), "drp-wan-"));
  readonly events: BootEvent[] = [];
  readonly #sites = new Set<SiteImages>();
  readonly #clients = new Set<HubClient>();
  readonly #deltas = new Map<string, DeltaOffer>();
  readonly #key: TestKey = makeKey();
  now = NOW;
  uptimeMs = 0;
  /** How often the hub was asked for a delta. */
  offers = 0;
  onOffer: () => void = () => {};
  store!: Store;
  fleet!: Fleet;
  registry!: ImageRegistry;
  channel!: SiteChannel;
  wan!: WanProxy;

  /** @param makeDeltas left out: those that a test computes, and no others */
  static async open(makeDeltas?: (site: WanSite) => Promise<DeltaSource>): Promise<WanSite> {
    const site = new WanSite();
    const { dir } = site;
    site.store = await openSqliteStore({ file: join(dir, "drp.db") });
    site.fleet = await sharedFleet();
    const { keyFingerprint } = site.fleet.site;
    const membership = { kind: "joined", keyFingerprint, joinedAt: NOW, reportsKept: 0 } as const;
    await site.store.commit([
      { kind: "insert-site", site: siteRecord({ id: "s-1", name: "shop-1", membership }) },
    ]);
    site.registry = await openRegistry(join(dir, "registry"));
    const ownDeltas: DeltaSource = {
      offer: async (from, to) => {
        site.offers++;
        site.onOffer();
        return site.#deltas.get(`${from} ${to}`) ?? { kind: "none", because: "nobody has computed one" };
      },
      findOffered: (from, to, sha256) => {
        const offer = site.#deltas.get(`${from} ${to}`);
        return offer?.kind === "delta" && offer.sha256 === sha256 ? offer.path : undefined;
      },
    };
    site.channel = await startSiteChannel({
      store: site.store,
      registry: site.registry,
      deltas: (await makeDeltas?.(site)) ?? ownDeltas,
      port: 0,
      tls: site.fleet.hubTls,
      caPem: site.fleet.caPem,
      clock: () => NOW,
      onError: () => {},
    });
    site.wan = await WanProxy.open(site.channel.port);
    return site;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const images of this.#sites) await images.stop();
    for (const client of this.#clients) client.close();
    await this.wan[Symbol.asyncDispose]();
    await this.channel.stop();
    await this.store.close();
    rmSync(this.dir, { recursive: true, force: true });
  }

  async push(image: Buffer, changes: Partial<Manifest> = {}): Promise<ImageDigest> {
    const { bytes, digest } = await makeBundle(image, this.#key, "frames", changes);
    await this.registry.ingestBundle(streamOf(bytes), [this.#key]);
    return digest;
  }

  setDelta(from: ImageDigest, to: ImageDigest, offer: DeltaOffer): void {
    this.#deltas.set(`${from} ${to}`, offer);
  }

  /** @returns its size and where it lies */
  async computeDelta(
    fromDigest: ImageDigest,
    toDigest: ImageDigest,
  ): Promise<{ sizeBytes: number; path: string }> {
    const [from, to] = [await this.registry.openImage(fromDigest), await this.registry.openImage(toDigest)];
    if (from === undefined || to === undefined) throw new Error("the hub lacks an image");
    const path = join(this.dir, `delta-${this.#deltas.size}`);
    const { sizeBytes } = await writeDelta(path, { fromDigest, from, toDigest, to });
    this.setDelta(fromDigest, toDigest, { kind: "delta", path, sizeBytes, sha256: sha256OfFile(path) });
    return { sizeBytes, path };
  }

  client(): HubClient {
    const client = new HubClient({ url: this.wan.url, caPem: this.fleet.caPem, tls: this.fleet.site.tls });
    this.#clients.add(client);
    return client;
  }

  /** @param ordered what the view orders to be installed */
  view(ordered: readonly ImageDigest[], changes: Partial<SiteView> = {}): SiteView {
    return {
      siteId: "s-1",
      siteName: "shop-1",
      unknown: "discover",
      keyLists: firstKeyList(this.#key),
      machines: ordered.map((image, index) => ({
        id: `m-${index}`,
        name: `till-${index}`,
        macs: [],
        keyFingerprint: null,
        intent: intentWith({ image }),
        target: null,
        blank: false,
        quarantineReason: null,
      })),
      keptImages: [],
      timeZone: "UTC",
      transferLimits: NO_LIMITS,
      ...changes,
    };
  }

  async openImages(options: Partial<SiteImagesOptions> = {}, folder = "cache"): Promise<SiteImages> {
    const images = await SiteImages.open({
      hub: this.client(),
      folder: join(this.dir, folder),
      view: this.view([]),
      cacheBytes: null,
      clock: () => this.now,
      uptime: () => this.uptimeMs,
      random: () => 0,
      report: event => this.events.push(event),
      ...options,
    });
    this.#sites.add(images);
    return images;
  }

  async restart(images: SiteImages, options: Partial<SiteImagesOptions> = {}): Promise<SiteImages> {
    await images.stop();
    this.#sites.delete(images);
    return this.openImages(options);
  }

  eventsOf(kind: string): BootEvent[] {
    return this.events.filter(event => event.kind === kind);
  }
}

/**
 * Two versions that share half of their blocks, but no chunk: an update of a real image, whose delta is half as large.
 *
 * @param chunks up to 8
 */
export function versions(chunks: number): [Buffer, Buffer] {
  const [before, after] = longVersions;
  return [before.subarray(0, chunks * MIB), after.subarray(0, chunks * MIB)];
}

const longVersions = makeVersions(8);

function makeVersions(chunks: number): [Buffer, Buffer] {
  const before = noise(chunks * MIB, 1);
  const after = Buffer.from(before);
  for (let at = 300_000; at < after.length; at += MIB) noise(520_000, at).copy(after, at);
  return [before, after];
}
