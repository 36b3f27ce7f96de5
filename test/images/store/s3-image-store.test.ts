import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { planTransfer } from "../../../src/agent/hub/io/plan-transfer.ts";
import { DrpError } from "../../../src/core/errors.ts";
import { encodeChunkBitmap, listChunks } from "../../../src/images/chunk-bitmap.ts";
import { ChunkCache } from "../../../src/images/io/chunk-cache.ts";
import { encodeChunk } from "../../../src/images/io/chunk-codec.ts";
import { type ImageRegistry, openRegistry, Registry } from "../../../src/images/io/registry.ts";
import { S3ImageStore } from "../../../src/images/io/s3-image-store.ts";
import { type S3Limits, S3Objects } from "../../../src/images/io/s3-objects.ts";
import { CHUNK_BYTES } from "../../../src/images/manifest.ts";
import { makeBundle, makeKey, noise, smallImage, streamOf } from "../bundles.ts";
import { CREDENTIALS, type Fault, type S3Server, startS3Server } from "./s3-server.ts";

const key = makeKey();
const image = smallImage();
const bundle = await makeBundle(image, key);
const chunk = bundle.manifest.payloads[0]?.chunks[0] ?? "";
const LIMITS: S3Limits = { attemptMs: 20_000, requestMs: 30_000 };
/** So that a store that does not answer costs the test little. */
const SHORT: S3Limits = { attemptMs: 200, requestMs: 700 };

let dir: string;
let s3: S3Server;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "drp-s3-"));
  s3 = await startS3Server(dir);
});
afterAll(async () => {
  await s3[Symbol.asyncDispose]();
  await rm(dir, { recursive: true });
});

let serial = 0;
let cacheDir: string;
let registry: ImageRegistry;
beforeEach(async () => {
  registry = await openOn(`fleet-${serial++}/`);
});
afterEach(() => {
  s3.fault = () => undefined;
});

/** A hub with an empty cache. */
async function openOn(
  prefix: string,
  limits = LIMITS,
  cacheBytes = 64 * CHUNK_BYTES,
): Promise<ImageRegistry> {
  currentPrefix = prefix;
  cacheDir = await mkdtemp(join(dir, "cache-"));
  return new Registry(
    new S3ImageStore(objectsOf(prefix, limits), await ChunkCache.open(cacheDir, cacheBytes), cacheDir),
  );
}
let currentPrefix = "";

function objectsOf(prefix: string, limits = LIMITS): S3Objects {
  return new S3Objects({ ...s3.settings, prefix }, CREDENTIALS, limits);
}

async function cachedFiles(): Promise<string[]> {
  const entries = await readdir(cacheDir, { recursive: true, withFileTypes: true });
  return entries.filter(entry => entry.isFile()).map(entry => entry.name);
}

async function failure(work: Promise<unknown>): Promise<DrpError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DrpError);
  return error as DrpError;
}

async function readImage(): Promise<Buffer> {
  const reader = await registry.openImage(bundle.digest);
  if (reader === undefined) throw new Error("the image is not visible");
  const chunks = reader.payload.chunks.map(async (_, index) => await reader.readChunk(index));
  const plain = await Promise.all(chunks);
  return Buffer.concat(plain.map(bytes => bytes ?? Buffer.alloc(CHUNK_BYTES)));
}

function answerTo(start: string, fault: Fault): void {
  s3.fault = line => (line.startsWith(`${start.replace(" ", ` /drp/${currentPrefix}`)}`) ? fault : undefined);
}

test("an image is kept, read back by another hub with an empty cache, and removed", async () => {
  expect(await registry.ingestBundle(streamOf(bundle.bytes), [key])).toMatchObject({ alreadyPresent: false });
  registry = await openOn(currentPrefix);
  expect((await readImage()).equals(image)).toBe(true);
  expect(await registry.ingestBundle(streamOf(bundle.bytes), [key])).toMatchObject({ alreadyPresent: true });
  expect(await cachedFiles()).toHaveLength(3);

  expect(await registry.remove(bundle.digest)).toBe(true);
  expect(await registry.manifest(bundle.digest)).toBeUndefined();
  expect(await registry.findChunk(chunk)).toBeUndefined();
  expect(await cachedFiles()).toEqual([]);
  registry = await openOn(currentPrefix);
  expect(await registry.manifest(bundle.digest)).toBeUndefined();
});

test("the manifest is the last thing that is written and the first that goes", async () => {
  s3.requests.length = 0;
  await registry.ingestBundle(streamOf(bundle.bytes), [key]);
  await registry.remove(bundle.digest);
  const changes = s3.requests
    .filter(line => /^(PUT|DELETE)/.test(line))
    .map(line => line.replace(/\/drp\/[^/]*\/(\w+)\/.*/, "$1"));
  expect(changes).toEqual([
    ...Array(3).fill("PUT chunks"),
    "PUT manifests",
    "DELETE manifests",
    ...Array(3).fill("DELETE chunks"),
  ]);
});

test("machines that want one chunk at the same moment cost one request", async () => {
  await registry.ingestBundle(streamOf(bundle.bytes), [key]);
  s3.requests.length = 0;
  const found = await Promise.all(Array.from({ length: 20 }, () => registry.findChunk(chunk)));
  expect(new Set(found).size).toBe(1);
  await registry.findChunk(chunk);
  expect(s3.requests).toHaveLength(1);
});

test("a plan of how an image comes to a site weighs its chunks without fetching one", async () => {
  await registry.ingestBundle(streamOf(bundle.bytes), [key]);
  s3.requests.length = 0;
  const missing = encodeChunkBitmap(listChunks(bundle.manifest), () => true);
  const wanted = { held: [], missing, waitsForDelta: true };
  const plan = await planTransfer({ registry, deltas: null }, "s-1", bundle.digest, wanted);
  const frames = await Promise.all(
    listChunks(bundle.manifest).map(async each => (await registry.frameSize(each)) ?? 0),
  );
  expect(plan).toMatchObject({ kind: "whole", wholeBytes: frames.reduce((sum, size) => sum + size) });
  expect(s3.requests.filter(line => /^GET .*chunks/.test(line))).toEqual([]);
  expect(await cachedFiles()).toEqual([]);
});

test("a stranger who asks for chunks that no image has costs no request", async () => {
  await registry.ingestBundle(streamOf(bundle.bytes), [key]);
  s3.requests.length = 0;
  expect(await registry.findChunk("ab".repeat(32))).toBeUndefined();
  expect(s3.requests).toEqual([]);
});

test("the cache stays within its bytes, and keeps what was used last", async () => {
  const big = await makeBundle(noise(12 * CHUNK_BYTES, 4), key);
  registry = await openOn(currentPrefix, LIMITS, 5 * CHUNK_BYTES + 5000);
  await registry.ingestBundle(streamOf(big.bytes), [key]);
  const chunks = big.manifest.payloads[0]?.chunks.filter(digest => digest !== null) ?? [];
  for (const digest of chunks) {
    await registry.findChunk(digest);
    await registry.findChunk(chunks[0] ?? "");
  }
  expect((await cachedFiles()).sort()).toEqual([chunks[0], ...chunks.slice(-4)].sort());
});

describe("a store that lies about a chunk", () => {
  test.each<[string, Fault, RegExp]>([
    ["with other bytes", { kind: "change-bytes" }, /other bytes|cannot be read/],
    ["with fewer bytes", { kind: "shorten" }, /cannot be read|ends after/],
    [
      "with an error document and 200",
      { kind: "answer", status: 200, body: "<Error><Code>SlowDown</Code></Error>" },
      /cannot be read/,
    ],
    ["with nothing and 200", { kind: "answer", status: 200, body: "" }, /empty/],
    ["with no end", { kind: "endless" }, /more than/],
  ])("is found out, and nothing is kept: %s", async (_, fault, words) => {
    await registry.ingestBundle(streamOf(bundle.bytes), [key]);
    answerTo("GET chunks/", fault);
    const error = await failure(registry.findChunk(chunk));
    expect(error.code).toBe("storage.damaged");
    expect(error.message).toMatch(words);
    expect(error.message).toContain(`s3://drp/${currentPrefix}chunks/${chunk.slice(0, 2)}/${chunk}`);
    expect(error.advice).toBeDefined();
    expect(await cachedFiles()).toEqual([]);
    s3.fault = () => undefined;
    expect(await registry.findChunk(chunk)).toBeDefined();
  });

  test("another chunk's bytes are not this one's", async () => {
    await registry.ingestBundle(streamOf(bundle.bytes), [key]);
    const other = await encodeChunk(Buffer.alloc(CHUNK_BYTES, "other"));
    answerTo("GET chunks/", { kind: "answer", status: 200, body: other.toString("latin1") });
    expect(await failure(registry.findChunk(chunk))).toMatchObject({ code: "storage.damaged" });
  });
});

describe("a store that is slow or not there", () => {
  test.each<[string, Fault]>([
    ["answers nothing", { kind: "silence" }],
    ["stops in the middle", { kind: "stall" }],
    ["cuts the connection", { kind: "cut" }],
    [
      "is out of order",
      { kind: "answer", status: 503, body: "<Error><Code>ServiceUnavailable</Code></Error>" },
    ],
  ])("fails in time, names the object and says what to do: %s", async (_, fault) => {
    await registry.ingestBundle(streamOf(bundle.bytes), [key]);
    registry = await openOn(currentPrefix, SHORT);
    answerTo("GET chunks/", fault);
    const error = await failure(registry.findChunk(chunk));
    expect(error.code).toBe("storage.unreachable");
    expect(error.facts).toEqual({
      bucket: "drp",
      key: `${currentPrefix}chunks/${chunk.slice(0, 2)}/${chunk}`,
    });
    expect(error.message).toContain(`127.0.0.1`);
    expect(error.advice).toBeDefined();
    expect(await cachedFiles()).toEqual([]);
  });

  test("is asked again where one answer failed", async () => {
    await registry.ingestBundle(streamOf(bundle.bytes), [key]);
    let failed = 0;
    s3.fault = () => (failed++ === 0 ? { kind: "answer", status: 500, body: "" } : undefined);
    expect(await registry.findChunk(chunk)).toBeDefined();
  });

  test("does not keep a hub from starting; the images are there when the store is", async () => {
    await registry.ingestBundle(streamOf(bundle.bytes), [key]);
    registry = await openOn(currentPrefix);
    s3.fault = () => ({ kind: "answer", status: 503, body: "" });
    expect(await failure(registry.findChunk(chunk))).toMatchObject({ code: "storage.unreachable" });
    s3.fault = () => undefined;
    expect(await registry.findChunk(chunk)).toBeDefined();
  });
});

describe("a push to a store that fails", () => {
  test.each<[string, string, Fault, string]>([
    ["takes no chunk", "PUT chunks/", { kind: "silence" }, "storage.unreachable"],
    [
      "says that it took a chunk, and did not",
      "PUT chunks/",
      { kind: "answer", status: 200, body: "" },
      "storage.damaged",
    ],
    [
      "takes no manifest",
      "PUT manifests/",
      { kind: "answer", status: 403, body: "<Error><Code>AccessDenied</Code></Error>" },
      "storage.unreachable",
    ],
    [
      "says that it took the manifest, and did not",
      "PUT manifests/",
      { kind: "answer", status: 200, body: "" },
      "storage.damaged",
    ],
  ])("is refused, and nothing is visible or left: %s", async (_, start, fault, code) => {
    registry = await openOn(currentPrefix, fault.kind === "silence" ? SHORT : LIMITS);
    answerTo(start, fault);
    expect((await failure(registry.ingestBundle(streamOf(bundle.bytes), [key]))).code).toBe(code);
    s3.fault = () => undefined;
    expect(await registry.manifest(bundle.digest)).toBeUndefined();
    expect(await objectsOf(currentPrefix).list("")).toEqual([]);
    registry = await openOn(currentPrefix);
    expect(await registry.ingestBundle(streamOf(bundle.bytes), [key])).toMatchObject({
      alreadyPresent: false,
    });
  });
});

test("every request is signed; a wrong secret and a bucket that is not there are told apart", async () => {
  await using strict = await startS3Server(dir, "strict");
  const objects = (bucket: string, secretAccessKey = CREDENTIALS.secretAccessKey) =>
    new S3Objects({ ...strict.settings, bucket }, { ...CREDENTIALS, secretAccessKey }, LIMITS);
  await objects("drp").put("one", Buffer.from("1"));
  await objects("drp").copy("one", "two");
  expect(await objects("drp").get("two", 1)).toEqual(Buffer.from("1"));
  await objects("drp").delete("one");
  expect(await objects("drp").size("one")).toBeUndefined();

  const refused = await failure(objects("drp", "wrong").get("two", 1));
  expect(refused).toMatchObject({
    code: "storage.unreachable",
    message: expect.stringContaining("SignatureDoesNotMatch"),
  });
  expect(refused.advice).toContain("credentials");
  const unknown = await failure(objects("nobody").get("two", 1));
  expect(unknown.advice).toContain("images.store.bucket");
});

test("credentials come from the environment or a file, and an error about them tells no secret", async () => {
  const credentialsFile = join(dir, "credentials");
  const open = (file: string | null, env: Record<string, string>) =>
    openRegistry(join(dir, "hub"), { ...s3.settings, credentialsFile: file }, env);
  const missing = await failure(open(null, { AWS_ACCESS_KEY_ID: "S3RVER" }));
  expect(missing).toMatchObject({
    code: "config.invalid",
    advice: expect.stringContaining("AWS_SECRET_ACCESS_KEY"),
  });
  await writeFile(
    credentialsFile,
    "[other]\naws_secret_access_key = hidden\n[default]\naws_access_key_id = S3RVER\n",
  );
  const half = await failure(open(credentialsFile, {}));
  expect(half.message).toContain(credentialsFile);
  expect(JSON.stringify([half.message, half.advice, half.facts])).not.toContain("hidden");
  expect(await failure(open(join(dir, "none"), {}))).toMatchObject({ code: "config.invalid" });

  await writeFile(credentialsFile, "[default]\naws_access_key_id=S3RVER\naws_secret_access_key=S3RVER\n");
  for (const hub of [
    await open(credentialsFile, {}),
    await open(null, { AWS_ACCESS_KEY_ID: "S3RVER", AWS_SECRET_ACCESS_KEY: "S3RVER" }),
  ]) {
    expect(await hub.findChunk("ab".repeat(32))).toBeUndefined();
  }
});

test("a chunk that rots in the store is moved aside there, and a second push brings it back", async () => {
  await registry.ingestBundle(streamOf(bundle.bytes), [key]);
  await registry.findChunk(chunk);
  const objects = objectsOf(currentPrefix);
  const object = `chunks/${chunk.slice(0, 2)}/${chunk}`;
  await objects.put(object, Buffer.from("rot"));
  const findings: object[] = [];
  const report = await registry.scrub({ onFinding: async finding => void findings.push(finding) });
  expect(report).toMatchObject({ checkedChunks: 3, rottenChunks: 1, damagedImages: 1 });
  expect(findings[0]).toMatchObject({
    kind: "rotten-chunk",
    chunk,
    keptAt: `s3://drp/${currentPrefix}quarantine/${chunk}`,
  });
  expect(await objects.get(`quarantine/${chunk}`, 100)).toEqual(Buffer.from("rot"));
  expect(await registry.findChunk(chunk)).toBeUndefined();
  expect(await registry.ingestBundle(streamOf(bundle.bytes), [key])).toMatchObject({ repairedChunks: 1 });
  expect((await readImage()).equals(image)).toBe(true);
  expect(await readFile((await registry.findChunk(chunk)) ?? "")).toEqual(
    await objects.get(object, CHUNK_BYTES),
  );
});

test.each([
  ["no token for the next page", ""],
  ["the same page again", "<NextContinuationToken>again</NextContinuationToken>"],
])("a list that goes on with %s is a fault, not an end", async (what, token) => {
  s3.fault = line =>
    line.includes("list-type=2")
      ? {
          kind: "answer",
          status: 200,
          body: `<ListBucketResult><IsTruncated>true</IsTruncated>${token}</ListBucketResult>`,
        }
      : undefined;
  expect(await failure(objectsOf(currentPrefix).list("manifests/"))).toMatchObject({
    code: "storage.damaged",
    message: expect.stringContaining(what),
  });
});
