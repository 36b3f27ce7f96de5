/**
 * Our side of the benchmark `ingest`: a bundle into a fresh registry, in a process of its own.
 * `node ingest-ours.ts REGISTRY KEY_PEM_FILE BUNDLE` reads a bundle; with `long GIB` in the bundle's place one of that size is made up
 * as it is read, half of it zeros, the rest of 16 different chunks. Prints what it took as JSON.
 */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import { Readable } from "node:stream";
import tar from "tar-stream";
import { canonicalText } from "../src/images/canonical.ts";
import { chunkDigest } from "../src/images/digest.ts";
import { openRegistry } from "../src/images/io/registry.ts";
import { keyIdOf, parseTrustedKey, type TrustedKey } from "../src/images/keys.ts";
import { CHUNK_BYTES, type Manifest } from "../src/images/manifest.ts";
import { signManifest } from "../src/images/signature.ts";
import { peakMemoryBytes } from "./peak-memory.ts";

export interface IngestOutcome {
  readonly ingestMs: number;
  /** The most that was resident. */
  readonly peakBytes: number;
}

const [registryFolder = "", source = "", gibOrBundle = ""] = process.argv.slice(2);
const { bundle, key } = source === "long" ? makeUp(Number(gibOrBundle)) : openBundle(source, gibOrBundle);
const registry = await openRegistry(registryFolder);
const begun = performance.now();
await registry.ingestBundle(bundle, [key]);
const outcome: IngestOutcome = {
  ingestMs: performance.now() - begun,
  peakBytes: peakMemoryBytes(),
};
console.log(JSON.stringify(outcome));

interface Source {
  readonly bundle: Readable;
  readonly key: TrustedKey;
}

function openBundle(keyPath: string, bundlePath: string): Source {
  return {
    bundle: createReadStream(bundlePath),
    key: parseTrustedKey(readFileSync(keyPath, "utf8")),
  };
}

function makeUp(sizeGib: number): Source {
  const data = Array.from({ length: 16 }, () => randomBytes(CHUNK_BYTES));
  const digests = data.map(chunkDigest);
  const zeros = Buffer.alloc(CHUNK_BYTES);
  const count = sizeGib * 1024;
  const manifest: Manifest = {
    formatVersion: 1,
    name: "long",
    version: "1",
    architecture: "amd64",
    createdAt: "2026-01-01T00:00:00Z",
    release: 1,
    minimumRelease: 0,
    attachments: [],
    payloads: [
      {
        name: "rootfs.img",
        sizeBytes: count * CHUNK_BYTES,
        chunkBytes: CHUNK_BYTES,
        chunks: Array.from({ length: count }, (_, index) =>
          index % 2 === 0 ? null : (digests[(index >> 1) % digests.length] ?? null),
        ),
      },
    ],
    kernelArguments: [],
    healthChecks: [],
  };
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const manifestText = canonicalText(manifest);
  const signature = signManifest(
    manifestText,
    privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  );
  const pack = tar.pack();
  pack.entry({ name: "manifest.json" }, manifestText);
  pack.entry({ name: "manifest.sig" }, JSON.stringify(signature));
  const payload = pack.entry({ name: "rootfs.img", size: count * CHUNK_BYTES }, () => pack.finalize());
  Readable.from(
    (function* () {
      for (let index = 0; index < count; index++) {
        yield index % 2 === 0 ? zeros : (data[(index >> 1) % data.length] ?? zeros);
      }
    })(),
    { objectMode: true, highWaterMark: 1 },
  ).pipe(payload);
  return {
    // A stream of Node's own, as an upload is.
    bundle: Readable.from(pack),
    key: {
      keyId: keyIdOf(publicKey),
      publicKeyPem: publicKey.export({ type: "spki", format: "pem" }).toString(),
    },
  };
}
