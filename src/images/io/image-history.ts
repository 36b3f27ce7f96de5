/**
 * Images that are kept as deltas: `DIGEST.delta` each, over an image that is whole; and in `bases/` the manifests of images that were
 * removed while a delta still needs their chunks. When that changes is decided elsewhere.
 */
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { imageDigest } from "../digest.ts";
import { type ImageDigest, imageDigestSchema, type Manifest } from "../manifest.ts";
import { parseManifest } from "../parse-manifest.ts";
import { removeUnfinished, syncDirectory, writeWhole } from "./durable-files.ts";
import { isUnreadable } from "./inspect-chunk.ts";

/** Where a delta file names the image that it leads from (delta/header.ts). */
const FROM_AT = 8;
const DIGEST_BYTES = 32;

export class ImageHistory {
  readonly #dir: string;
  readonly #basesDir: string;
  readonly #deltas = new Map<ImageDigest, ImageDigest>();
  readonly #bases = new Map<ImageDigest, Manifest>();
  readonly #damagedBases = new Set<ImageDigest>();

  private constructor(dir: string) {
    this.#dir = dir;
    this.#basesDir = join(dir, "bases");
  }

  /** Clears away what a crash left before it counted. */
  static async open(dir: string): Promise<ImageHistory> {
    const history = new ImageHistory(dir);
    await mkdir(history.#basesDir, { recursive: true });
    await removeUnfinished(dir);
    for (const name of await readdir(dir)) {
      const image: ImageDigest = `sha256:${name.replace(/\.delta$/, "")}`;
      if (name.endsWith(".candidate")) await rm(join(dir, name));
      else if (imageDigestSchema.safeParse(image).success) {
        history.#deltas.set(image, await readBase(join(dir, name)));
      }
    }
    for (const name of await readdir(history.#basesDir)) {
      const base: ImageDigest = `sha256:${name}`;
      if (!imageDigestSchema.safeParse(base).success) continue;
      const manifest = await readBaseManifest(join(history.#basesDir, name), base);
      if (manifest === undefined) history.#damagedBases.add(base);
      else history.#bases.set(base, manifest);
    }
    return history;
  }

  /** Image → base. */
  get deltas(): ReadonlyMap<ImageDigest, ImageDigest> {
    return this.#deltas;
  }

  /** Removed images whose chunks a delta needs. */
  get bases(): ReadonlyMap<ImageDigest, Manifest> {
    return this.#bases;
  }

  /** Removed as well, but which chunks they need cannot be read any more. */
  get damagedBases(): ReadonlySet<ImageDigest> {
    return this.#damagedBases;
  }

  dependantsOf(base: ImageDigest): ImageDigest[] {
    return [...this.#deltas].filter(([, candidate]) => candidate === base).map(([image]) => image);
  }

  /** Where a new delta is written before it counts. */
  candidatePath(image: ImageDigest): string {
    return `${this.deltaPath(image)}.candidate`;
  }

  deltaPath(image: ImageDigest): string {
    return join(this.#dir, `${hexOf(image)}.delta`);
  }

  /** From now on the image is its delta; the candidate is whole and proven. */
  async adopt(image: ImageDigest, base: ImageDigest): Promise<void> {
    await rename(this.candidatePath(image), this.deltaPath(image));
    await syncDirectory(this.#dir);
    this.#deltas.set(image, base);
  }

  async drop(image: ImageDigest): Promise<void> {
    this.#deltas.delete(image);
    await rm(this.deltaPath(image), { force: true });
    await syncDirectory(this.#dir);
  }

  /** @returns where its bytes are now */
  async quarantine(image: ImageDigest, dir: string): Promise<string> {
    const kept = join(dir, `${hexOf(image)}.delta`);
    await mkdir(dir, { recursive: true });
    await rename(this.deltaPath(image), kept).catch((error: NodeJS.ErrnoException) => {
      // Somebody's hand took it away: there is nothing to keep.
      if (error.code !== "ENOENT") throw error;
    });
    await syncDirectory(dir);
    await this.drop(image);
    return kept;
  }

  /** Durable when it resolves: the image itself may be removed. */
  async keepBase(manifestText: string): Promise<void> {
    const digest = imageDigest(manifestText);
    await writeWhole(join(this.#basesDir, hexOf(digest)), manifestText);
    await syncDirectory(this.#basesDir);
    this.#bases.set(digest, parseManifest(manifestText));
  }

  async dropBase(digest: ImageDigest): Promise<void> {
    this.#bases.delete(digest);
    this.#damagedBases.delete(digest);
    await rm(join(this.#basesDir, hexOf(digest)), { force: true });
  }
}

/** Of a file that is too short or cannot be read: the image whose digest is zeros, which nobody has. */
async function readBase(path: string): Promise<ImageDigest> {
  const digest = Buffer.alloc(DIGEST_BYTES);
  try {
    await using file = await open(path, "r");
    await file.read(digest, 0, DIGEST_BYTES, FROM_AT);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
  }
  return `sha256:${digest.toString("hex")}`;
}

/** @returns undefined for one that has rotted */
async function readBaseManifest(path: string, base: ImageDigest): Promise<Manifest | undefined> {
  let manifestText: string;
  try {
    manifestText = await readFile(path, "utf8");
  } catch (error) {
    if (isUnreadable(error)) return undefined;
    throw error;
  }
  return imageDigest(manifestText) === base ? readManifestText(manifestText) : undefined;
}

/** @returns undefined for what is no manifest */
export function readManifestText(manifestText: string): Manifest | undefined {
  try {
    return parseManifest(manifestText);
  } catch {
    return undefined;
  }
}

function hexOf(digest: ImageDigest): string {
  return imageDigestSchema.parse(digest).slice("sha256:".length);
}
