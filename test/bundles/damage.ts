/**
 * Cuts a bundle after each of its bytes, and flips a bit in each: nothing of it may ever be visible as another image, and every
 * refusal says what is wrong.
 */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { DrpError } from "../../src/core/errors.ts";
import { chunkDigest } from "../../src/images/digest.ts";
import { openRegistry } from "../../src/images/io/registry.ts";
import { CHUNK_BYTES, type Manifest } from "../../src/images/manifest.ts";
import { makeBundle, makeKey, makeTar, noise, streamOf } from "../images/bundles.ts";

export const FORMS = ["plain", "frames", "zstd"] as const;
export type Form = (typeof FORMS)[number];

export interface DamageReport {
  readonly cuts: number;
  readonly flips: number;
  /** Flips in what says nothing (a tar's padding, times, names of owners): the image was the same. */
  readonly harmless: number;
  /** Error codes and how often each was given. */
  readonly refusals: Readonly<Record<string, number>>;
  /** What must never be: each a sentence. */
  readonly faults: readonly string[];
}

const LOOK_EVERY = 40;

/** @param step every how manieth byte; 1: all of them */
export async function damageBundle(form: Form, step: number): Promise<DamageReport> {
  const { bytes, digest, key } = await makeSmallBundle(form);
  const dir = await mkdtemp(join(tmpdir(), "drp-damage-"));
  const registry = await openRegistry(dir);
  const faults: string[] = [];
  const refusals: Record<string, number> = {};
  let cuts = 0;
  let flips = 0;
  let harmless = 0;

  /** @returns whether the very image came of it */
  async function isTaken(damaged: Buffer, what: string): Promise<boolean> {
    try {
      const ingested = await registry.ingestBundle(streamOf(damaged, 4001), [key]);
      if (ingested.digest !== digest) faults.push(`${what}: another image became visible`);
      await registry.remove(ingested.digest);
      return true;
    } catch (error) {
      if (!(error instanceof DrpError)) faults.push(`${what}: ${String(error)}`);
      else refusals[error.code] = (refusals[error.code] ?? 0) + 1;
      return false;
    } finally {
      // Looking costs ten times what an upload does; what stayed behind stays for the next look.
      if (cuts % LOOK_EVERY === 0) await requireNothingLeft(what);
    }
  }

  async function requireNothingLeft(what: string): Promise<void> {
    const left = await filesBelow(dir);
    if (left.length > 0) faults.push(`up to ${what}: ${left.join(", ")} stayed behind`);
  }

  try {
    for (let at = 0; at < bytes.length; at += step) {
      cuts++;
      if (await isTaken(bytes.subarray(0, at), `${form}, cut after ${at}`))
        faults.push(`${form}, cut after ${at}: taken`);
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
      flips++;
      if (await isTaken(damaged, `${form}, bit flipped at ${at}`)) harmless++;
    }
    await requireNothingLeft("the end");
  } finally {
    await rm(dir, { recursive: true });
  }
  return { cuts, flips, harmless, refusals, faults };
}

/** Two blocks of payload and a small attachment: a few thousand bytes, so that each can be hurt. */
async function makeSmallBundle(form: Form) {
  const key = makeKey();
  const sbom = Buffer.from(JSON.stringify({ packages: ["one", "two"] }));
  const attachments: Manifest["attachments"] = [
    {
      name: "sbom.json",
      sizeBytes: sbom.length,
      chunkBytes: CHUNK_BYTES,
      chunks: [chunkDigest(sbom)],
    },
  ];
  const payload = Buffer.concat([Buffer.alloc(4096), noise(1024, 1), Buffer.alloc(3072, "text ")]);
  const made = await makeBundle(payload, key, form === "plain" ? "plain" : "frames", {
    attachments,
  });
  const tar = await makeTar([...made.entries, ["sbom.json", sbom]]);
  return { bytes: form === "zstd" ? zstdCompressSync(tar) : tar, digest: made.digest, key };
}

async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries.filter(entry => entry.isFile()).map(entry => entry.name);
}
