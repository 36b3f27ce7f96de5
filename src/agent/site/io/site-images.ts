/**
 * The images of a site: each chunk comes over the WAN once, when its first machine asks, and is checked before it is kept
 * and served. Only chunks that a manifest of this site names are fetched: boot HTTP is open to strangers, the WAN is not.
 */
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { DrpError } from "../../../core/errors.ts";
import { chunkLength } from "../../../images/chunker.ts";
import { chunkDigest, imageDigest } from "../../../images/digest.ts";
import { decodeChunk } from "../../../images/io/chunk-codec.ts";
import { ChunkStore } from "../../../images/io/chunk-store.ts";
import { removeUnfinished, writeWhole } from "../../../images/io/durable-files.ts";
import { type ChunkDigest, type ImageDigest, manifestSchema } from "../../../images/manifest.ts";
import { type SignedManifest, signedManifestSchema } from "../../protocol.ts";
import type { HubClient } from "./hub-client.ts";

export class SiteImages {
  readonly #hub: Pick<HubClient, "chunk" | "manifest">;
  readonly #manifestDir: string;
  readonly #chunks: ChunkStore;
  readonly #manifests = new Map<ImageDigest, SignedManifest>();
  /** Chunk → bytes of its plain form. */
  readonly #lengths = new Map<ChunkDigest, number>();
  /** Machines that want the same at the same moment share one fetch. */
  readonly #fetching = new Map<string, Promise<unknown>>();

  private constructor(hub: Pick<HubClient, "chunk" | "manifest">, manifestDir: string, chunks: ChunkStore) {
    this.#hub = hub;
    this.#manifestDir = manifestDir;
    this.#chunks = chunks;
  }

  static async open(hub: Pick<HubClient, "chunk" | "manifest">, folder: string): Promise<SiteImages> {
    const manifestDir = join(folder, "manifests");
    await mkdir(manifestDir, { recursive: true });
    await removeUnfinished(manifestDir);
    const images = new SiteImages(hub, manifestDir, await ChunkStore.open(join(folder, "chunks")));
    for (const name of await readdir(manifestDir)) {
      const content = await readFile(join(manifestDir, name), "utf8");
      images.#learn(`sha256:${name.replace(/\.json$/, "")}`, content);
    }
    return images;
  }

  /** Undefined when neither this site nor the hub holds it. @throws {DrpError} hub.unreachable; bundle.tampered */
  async signedManifest(digest: ImageDigest): Promise<SignedManifest | undefined> {
    return this.#manifests.get(digest) ?? this.#once(digest, () => this.#fetchManifest(digest));
  }

  /**
   * @returns the file of a zstd frame; undefined when no manifest of this site names the chunk, or the hub lacks it
   * @throws {DrpError} hub.unreachable; bundle.tampered
   */
  async findChunk(digest: ChunkDigest): Promise<string | undefined> {
    if (await this.#chunks.has(digest)) return this.#chunks.path(digest);
    const length = this.#lengths.get(digest);
    return length === undefined ? undefined : this.#once(digest, () => this.#fetchChunk(digest, length));
  }

  async #fetchManifest(digest: ImageDigest): Promise<SignedManifest | undefined> {
    const signed = await this.#hub.manifest(digest);
    if (signed === undefined) return undefined;
    const content = JSON.stringify(signed);
    if (!this.#learn(digest, content)) throw tampered(`the manifest ${digest}`);
    await writeWhole(join(this.#manifestDir, `${digest.replace("sha256:", "")}.json`), content);
    return signed;
  }

  async #fetchChunk(digest: ChunkDigest, length: number): Promise<string | undefined> {
    const frame = await this.#hub.chunk(digest);
    if (frame === undefined) return undefined;
    if (chunkDigest(await decodeChunk(frame, length)) !== digest) throw tampered(`chunk ${digest}`);
    await this.#chunks.write(digest, frame);
    return this.#chunks.path(digest);
  }

  /** @returns false for what is not this manifest. Whether it is signed rightly the machine decides. */
  #learn(digest: ImageDigest, content: string): boolean {
    const signed = signedManifestSchema.safeParse(parseJson(content));
    if (!signed.success || imageDigest(signed.data.manifestText) !== digest) return false;
    const manifest = manifestSchema.safeParse(parseJson(signed.data.manifestText));
    if (!manifest.success) return false;
    for (const payload of manifest.data.payloads) {
      for (const [index, chunk] of payload.chunks.entries()) {
        if (chunk !== null) this.#lengths.set(chunk, chunkLength(payload, index));
      }
    }
    this.#manifests.set(digest, signed.data);
    return true;
  }

  #once<T>(key: string, fetch: () => Promise<T>): Promise<T> {
    const running = this.#fetching.get(key) as Promise<T> | undefined;
    if (running !== undefined) return running;
    const fetched = fetch().finally(() => this.#fetching.delete(key));
    this.#fetching.set(key, fetched);
    return fetched;
  }
}

function tampered(what: string): DrpError {
  return new DrpError("bundle.tampered", `${what} came from the hub with other bytes than its name says`, {
    advice: "Push the image again; if it happens again, check the hub's disk.",
  });
}

/** Undefined for what is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
