/** Images in a folder of this machine: `chunks/ab/abcdef…`, `manifests/DIGEST.json` and `.sig`, `quarantine/`. */
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type ChunkDigest, type ImageDigest, imageDigestSchema, signatureSchema } from "../manifest.ts";
import type { SignedManifest } from "../signature.ts";
import { ChunkStore } from "./chunk-store.ts";
import { damagedStore } from "./damaged-store.ts";
import { removeUnfinished, syncDirectory, writeWhole } from "./durable-files.ts";

export class FolderImageStore {
  readonly location: string;
  readonly #manifestDir: string;
  readonly #quarantineDir: string;
  readonly #chunks: ChunkStore;

  private constructor(dir: string, chunks: ChunkStore) {
    this.location = dir;
    this.#manifestDir = join(dir, "manifests");
    this.#quarantineDir = join(dir, "quarantine");
    this.#chunks = chunks;
  }

  /** One process at a time may have it open: what another one left half-written is cleared away. */
  static async open(dir: string): Promise<FolderImageStore> {
    const store = new FolderImageStore(dir, await ChunkStore.open(join(dir, "chunks")));
    await mkdir(store.#manifestDir, { recursive: true });
    await mkdir(store.#quarantineDir, { recursive: true });
    await removeUnfinished(store.#manifestDir);
    return store;
  }

  hasChunk(digest: ChunkDigest): Promise<boolean> {
    return this.#chunks.has(digest);
  }

  async findChunk(digest: ChunkDigest): Promise<string | undefined> {
    return (await this.#chunks.has(digest)) ? this.#chunks.path(digest) : undefined;
  }

  readChunk(digest: ChunkDigest): Promise<Buffer | undefined> {
    return readIfPresent(this.#chunks.path(digest));
  }

  async writeChunk(digest: ChunkDigest, frame: Uint8Array): Promise<void> {
    await this.#chunks.write(digest, frame);
  }

  async syncChunks(digests: Iterable<ChunkDigest>): Promise<void> {
    await this.#chunks.sync(digests);
  }

  async removeChunk(digest: ChunkDigest): Promise<boolean> {
    await this.#chunks.remove(digest);
    return true;
  }

  async quarantineChunk(digest: ChunkDigest): Promise<string> {
    const kept = join(this.#quarantineDir, digest);
    await rename(this.#chunks.path(digest), kept);
    await syncDirectory(this.#quarantineDir);
    await this.#chunks.sync([digest]);
    return kept;
  }

  listChunks(shard: number): Promise<ChunkDigest[]> {
    return this.#chunks.list(shard);
  }

  async readManifest(digest: ImageDigest): Promise<SignedManifest | undefined> {
    const path = this.#manifestPath(digest);
    try {
      const [manifestText, signatureText] = await Promise.all([
        readIfPresent(`${path}.json`),
        readIfPresent(`${path}.sig`),
      ]);
      if (manifestText === undefined || signatureText === undefined) return undefined;
      return {
        manifestText: manifestText.toString("utf8"),
        signature: signatureSchema.parse(JSON.parse(signatureText.toString("utf8"))),
      };
    } catch (cause) {
      throw damagedStore(`the manifest in ${path}.json, or its signature, cannot be read`, cause);
    }
  }

  async publishManifest(digest: ImageDigest, signed: SignedManifest): Promise<void> {
    const path = this.#manifestPath(digest);
    await writeWhole(`${path}.sig`, JSON.stringify(signed.signature));
    await writeWhole(`${path}.json`, signed.manifestText);
    await syncDirectory(this.#manifestDir);
  }

  async removeManifest(digest: ImageDigest): Promise<void> {
    const path = this.#manifestPath(digest);
    await rm(`${path}.json`, { force: true });
    await syncDirectory(this.#manifestDir);
    await rm(`${path}.sig`, { force: true });
  }

  async listManifests(): Promise<ImageDigest[]> {
    const names = await readdir(this.#manifestDir);
    return names
      .filter(name => name.endsWith(".json"))
      .map(name => `sha256:${name.slice(0, -".json".length)}`)
      .filter(digest => imageDigestSchema.safeParse(digest).success);
  }

  #manifestPath(digest: ImageDigest): string {
    return join(this.#manifestDir, imageDigestSchema.parse(digest).slice("sha256:".length));
  }
}

async function readIfPresent(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
