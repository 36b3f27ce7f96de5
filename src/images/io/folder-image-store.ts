/**
 * Images in a folder of this machine: `chunks/ab/abcdef…`, `manifests/DIGEST.json` and `.sig`, `quarantine/`. An image is there with
 * both files, or with `.json` and `.sig.next` while it comes or goes: so that one of the two alone is always damage.
 */
import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { ZodError } from "zod";
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
    await store.#finishManifests();
    return store;
  }

  hasChunk(digest: ChunkDigest): Promise<boolean> {
    return this.#chunks.has(digest);
  }

  async findChunk(digest: ChunkDigest): Promise<string | undefined> {
    return (await this.#chunks.has(digest)) ? this.#chunks.path(digest) : undefined;
  }

  async frameSize(digest: ChunkDigest): Promise<number | undefined> {
    try {
      return (await stat(this.#chunks.path(digest))).size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
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
      let { json, sig } = await readPair(path);
      // It may have come or gone between the two reads.
      if ((json === undefined) !== (sig === undefined)) ({ json, sig } = await readPair(path));
      if (json === undefined && sig === undefined) return undefined;
      if (json !== undefined && sig !== undefined) {
        return {
          manifestText: json.toString("utf8"),
          signature: signatureSchema.parse(JSON.parse(sig.toString("utf8"))),
        };
      }
    } catch (cause) {
      // Anything else, such as too many open files, says nothing about what is kept.
      const isDamage = cause instanceof SyntaxError || cause instanceof ZodError || isBadSector(cause);
      if (!isDamage) throw cause;
      throw damagedStore(`the manifest in ${path}.json, or its signature, cannot be read`, cause);
    }
    throw damagedStore(`of the manifest in ${path}.json and its signature in .sig, one is missing`);
  }

  async publishManifest(digest: ImageDigest, signed: SignedManifest): Promise<void> {
    const path = this.#manifestPath(digest);
    await writeWhole(`${path}.sig.next`, JSON.stringify(signed.signature));
    await syncDirectory(this.#manifestDir);
    await writeWhole(`${path}.json`, signed.manifestText);
    await syncDirectory(this.#manifestDir);
    await rename(`${path}.sig.next`, `${path}.sig`);
    await syncDirectory(this.#manifestDir);
  }

  async removeManifest(digest: ImageDigest): Promise<void> {
    const path = this.#manifestPath(digest);
    await renameIfPresent(`${path}.sig`, `${path}.sig.next`);
    await syncDirectory(this.#manifestDir);
    await rm(`${path}.json`, { force: true });
    await syncDirectory(this.#manifestDir);
    await rm(`${path}.sig.next`, { force: true });
  }

  /** Also those that are damaged. */
  async listManifests(): Promise<ImageDigest[]> {
    const names = await readdir(this.#manifestDir);
    const digests = names
      .filter(name => /\.(json|sig)$/.test(name))
      .map(name => `sha256:${name.replace(/\.(json|sig)$/, "")}`)
      .filter(digest => imageDigestSchema.safeParse(digest).success);
    return [...new Set(digests)];
  }

  /** What a crash left half-published or half-removed. */
  async #finishManifests(): Promise<void> {
    const names = new Set(await readdir(this.#manifestDir));
    for (const name of names) {
      if (!name.endsWith(".sig.next")) continue;
      const path = join(this.#manifestDir, name.slice(0, -".sig.next".length));
      if (names.has(name.replace(/sig\.next$/, "json"))) await rename(`${path}.sig.next`, `${path}.sig`);
      else await rm(`${path}.sig.next`);
    }
    await syncDirectory(this.#manifestDir);
  }

  #manifestPath(digest: ImageDigest): string {
    return join(this.#manifestDir, imageDigestSchema.parse(digest).slice("sha256:".length));
  }
}

async function readPair(path: string): Promise<{ json: Buffer | undefined; sig: Buffer | undefined }> {
  const json = await readIfPresent(`${path}.json`);
  const sig = await readIfPresent(`${path}.sig`);
  return { json, sig: sig ?? (json === undefined ? undefined : await readIfPresent(`${path}.sig.next`)) };
}

function isBadSector(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "EIO";
}

async function renameIfPresent(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
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
