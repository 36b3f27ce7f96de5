/**
 * Images that are kept as deltas: `DIGEST.delta` each, over an image that is whole; and in `bases/` the manifests of images that were
 * removed while a delta still needs their chunks. When that changes is decided elsewhere.
 */
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { imageDigest } from "../digest.ts";
import { type ImageDigest, imageDigestSchema, type Manifest, manifestSchema } from "../manifest.ts";
import { removeUnfinished, syncDirectory, writeWhole } from "./durable-files.ts";

/** Where a delta file names the image that it leads from (delta/header.ts). */
const FROM_AT = 8;
const DIGEST_BYTES = 32;
export class ImageHistory {
  readonly #dir: string;
  readonly #basesDir: string;
  readonly #deltas = new Map<ImageDigest, ImageDigest>();
  readonly #bases = new Map<ImageDigest, Manifest>();

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
      const manifestText = await readFile(join(history.#basesDir, name), "utf8");
      history.#bases.set(imageDigest(manifestText), manifestSchema.parse(JSON.parse(manifestText)));
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
    await rename(this.deltaPath(image), kept);
    await syncDirectory(dir);
    await this.drop(image);
    return kept;
  }

  /** Durable when it resolves: the image itself may be removed. */
  async keepBase(manifestText: string): Promise<void> {
    const digest = imageDigest(manifestText);
    await writeWhole(join(this.#basesDir, hexOf(digest)), manifestText);
    await syncDirectory(this.#basesDir);
    this.#bases.set(digest, manifestSchema.parse(JSON.parse(manifestText)));
  }

  async dropBase(digest: ImageDigest): Promise<void> {
    this.#bases.delete(digest);
    await rm(join(this.#basesDir, hexOf(digest)), { force: true });
  }
}

async function readBase(path: string): Promise<ImageDigest> {
  await using file = await open(path, "r");
  const { buffer } = await file.read(Buffer.alloc(DIGEST_BYTES), 0, DIGEST_BYTES, FROM_AT);
  return `sha256:${buffer.toString("hex")}`;
}

function hexOf(digest: ImageDigest): string {
  return imageDigestSchema.parse(digest).slice("sha256:".length);
}
