import { createReadStream } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openRegistry } from "../../src/images/io/registry.ts";
import { signBundle } from "../../src/images/io/sign-bundle.ts";
import { verifyBundle } from "../../src/images/io/verify-bundle.ts";
import { makeBundle, makeKey, smallImage, streamOf } from "./bundles.ts";

let dir: string;
const old = makeKey();
const next = makeKey();
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "drp-sign-"));
});
afterAll(() => rm(dir, { recursive: true }));

const look = (bytes: Buffer, ...keys: Parameters<typeof verifyBundle>[1]) =>
  verifyBundle(streamOf(bytes), keys);

describe("signBundle()", () => {
  test.each(["plain", "frames"] as const)(
    "signs anew and leaves every other byte: %s payload",
    async form => {
      const bundle = await makeBundle(smallImage(), old, form);
      const file = join(dir, `${form}.tar`);
      const out = join(dir, `${form}-again.tar`);
      await writeFile(file, bundle.bytes);
      expect(await signBundle(file, next.privateKeyPem, out)).toMatchObject({
        digest: bundle.digest,
        keyId: next.keyId,
        keyIdBefore: old.keyId,
      });
      const signed = await readFile(out);
      expect((await look(signed, next)).problems).toEqual([]);
      expect((await look(signed, old)).problems).toEqual([
        `the manifest is signed by key ${next.keyId}, which is not trusted`,
      ]);
      // The payload's entry, its header with it, is the old one.
      const payload = bundle.bytes.subarray(bundle.bytes.length - 9_000);
      expect(signed.subarray(signed.length - 9_000).equals(payload)).toBe(true);
      expect((await readdir(dir)).filter(name => name.includes("unfinished"))).toEqual([]);
    },
  );

  test("takes a bundle that was compressed as a whole", async () => {
    const bundle = await makeBundle(smallImage(), old, "plain");
    const file = join(dir, "whole.tar.zst");
    await writeFile(file, zstdCompressSync(bundle.bytes));
    const out = join(dir, "whole-again.tar");
    await signBundle(file, next.privateKeyPem, out);
    expect((await look(await readFile(out), next)).problems).toEqual([]);
  });

  test("a bundle signed anew replaces the signature that a registry holds, and nothing else", async () => {
    const registry = await openRegistry(join(dir, "registry"));
    const bundle = await makeBundle(smallImage(), old);
    await registry.ingestBundle(streamOf(bundle.bytes), [old]);
    const file = join(dir, "kept.tar");
    await writeFile(file, bundle.bytes);
    await signBundle(file, next.privateKeyPem, file);
    const again = await registry.ingestBundle(createReadStream(file), [next]);
    expect(again).toMatchObject({ digest: bundle.digest, alreadyPresent: true, keyId: next.keyId });
    expect((await registry.manifest(bundle.digest))?.signature.keyId).toBe(next.keyId);
  });

  test("says which file cannot be read: one that is missing, and a directory", async () => {
    for (const [file, code] of [
      [join(dir, "missing.tar"), "ENOENT"],
      [dir, "EISDIR"],
    ] as const) {
      await expect(signBundle(file, next.privateKeyPem, join(dir, "none.tar"))).rejects.toMatchObject({
        code: "input.unreadable",
        message: `cannot read ${file}`,
        cause: { code },
      });
    }
  });

  test("refuses what is no bundle, and leaves nothing behind", async () => {
    const file = join(dir, "none.tar");
    const out = join(dir, "never.tar");
    await writeFile(file, Buffer.alloc(5000, "no tar"));
    await expect(signBundle(file, next.privateKeyPem, out)).rejects.toMatchObject({
      code: "bundle.malformed",
    });
    await expect(signBundle(join(dir, "absent"), next.privateKeyPem, out)).rejects.toMatchObject({
      code: expect.stringMatching(/^(input\.unreadable|bundle\.truncated)$/),
    });
    expect((await readdir(dir)).filter(name => name.includes("never"))).toEqual([]);
  });
});

describe("verifyBundle()", () => {
  test("finds nothing wrong with a bundle of a trusted key", async () => {
    const bundle = await makeBundle(smallImage(), old);
    expect(await look(bundle.bytes, old)).toMatchObject({
      digest: bundle.digest,
      keyId: old.keyId,
      chunks: 4,
      problems: [],
    });
  });

  test("names each chunk that is not the signed one, with its place", async () => {
    const { bytes, manifest } = await makeBundle(smallImage(), old, "plain");
    const changed = Buffer.from(bytes);
    const payloadAt = bytes.indexOf("the words of image");
    for (const offset of [5, 1024 * 1024 + 7]) changed[payloadAt + offset] = 1;
    expect(manifest.payloads[0]?.chunks[1]).toBe(null);
    expect((await look(changed, old)).problems).toEqual([
      "rootfs.img, chunk 0 at byte 0: it is not the one that was signed",
      "rootfs.img, chunk 1 at byte 1048576: it holds data where zeros were signed",
    ]);
  });

  test("says that it ends early, and where a key was refused for its age", async () => {
    const { bytes } = await makeBundle(smallImage(), old, "plain");
    const expired = { ...old, refusal: { keyName: "ci", why: "expired at 2026-01-01T00:00:00Z" } };
    const { problems } = await look(bytes.subarray(0, bytes.length - 9000), expired);
    expect(problems[0]).toBe(
      `the manifest is signed by key ci (${old.keyId.slice(0, 16)}), which expired at 2026-01-01T00:00:00Z`,
    );
    expect(problems[1]).toMatch(/^the bundle ends after \d+ bytes, before its end$/);
  });
});
