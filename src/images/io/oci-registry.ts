/** A registry's blobs and manifests over HTTP (OCI distribution specification 1.1), pull only. */
import { hash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { DrpError } from "../../core/errors.ts";
import { DOCUMENT_TYPES, MAX_DOCUMENT_BYTES } from "../oci-documents.ts";
import type { OciDigest, OciReference } from "../oci-reference.ts";
import type { OciBlobs } from "./oci-blobs.ts";
import type { RegistryClient } from "./oci-registry-client.ts";

/** Attempts in a row that bring no byte; any byte starts the count again. */
const MAX_FRUITLESS_ATTEMPTS = 5;
/** Doubled with each attempt in a row. */
const FIRST_PAUSE_MS = 100;

/** A broken connection is taken up again at the byte where it broke. */
export function blobsOfRegistry(client: RegistryClient, { host, repository }: OciReference): OciBlobs {
  return {
    name: `${host}/${repository}`,
    async *read(digest, sizeBytes) {
      const path = `/v2/${repository}/blobs/${digest}`;
      let doneBytes = 0;
      for (let fruitless = 0; ; fruitless++) {
        try {
          for await (const piece of client.download(path, doneBytes)) {
            doneBytes += piece.length;
            fruitless = 0;
            yield piece;
          }
          return;
        } catch (error) {
          const mayGoOn = doneBytes < sizeBytes && fruitless + 1 < MAX_FRUITLESS_ATTEMPTS;
          if (error instanceof DrpError || !mayGoOn) throw client.explain(path, error);
          await delay(FIRST_PAUSE_MS * 2 ** fruitless);
        }
      }
    },
  };
}

/**
 * @returns the document that the reference names, and its digest, which a tag's is only known by its bytes
 * @throws {DrpError} registry.failed, input.unreadable
 */
export async function fetchReferenced(
  client: RegistryClient,
  reference: OciReference,
): Promise<{ digest: OciDigest; text: string }> {
  const { repository, target } = reference;
  const path = `/v2/${repository}/manifests/${target}`;
  const bytes = await client.fetchSmall(path, MAX_DOCUMENT_BYTES, DOCUMENT_TYPES.join(", "));
  const digest: OciDigest = `sha256:${hash("sha256", bytes)}`;
  if (reference.digest !== undefined && reference.digest !== digest) {
    throw new DrpError("input.unreadable", `${client.host} gave ${digest} for ${reference.digest}`, {
      advice: "Find out who changed it; nothing was taken.",
    });
  }
  return { digest, text: bytes.toString("utf8") };
}
