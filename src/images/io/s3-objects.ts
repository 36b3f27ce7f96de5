/**
 * Objects of one bucket in any S3-compatible store, each small enough for memory. Every request ends in time, and every failure
 * names bucket, key and what to do.
 */
import { createHash } from "node:crypto";
import { addAbortSignal, Readable } from "node:stream";
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { DrpError, describeErrorChain } from "../../core/errors.ts";
import type { S3StoreSettings } from "../store-settings.ts";
import { damagedStore } from "./damaged-store.ts";

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface S3Limits {
  /** One try; a store that is slower is tried again. */
  readonly attemptMs: number;
  /** All tries together, with the body. */
  readonly requestMs: number;
}

/** A chunk is 1 MiB at most: at 35 KB/s it still comes in time. */
const LIMITS: S3Limits = { attemptMs: 10_000, requestMs: 30_000 };
const ATTEMPTS = 3;

export class S3Objects {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #where: string;
  readonly #requestMs: number;

  constructor(settings: S3StoreSettings, credentials: S3Credentials, limits: S3Limits = LIMITS) {
    const { endpoint, region, bucket, prefix } = settings;
    this.#client = new S3Client({
      region,
      credentials,
      // Stores other than Amazon's rarely have a DNS name for each bucket.
      ...(endpoint === null ? {} : { endpoint, forcePathStyle: true }),
      // Older stores refuse the checksums that newer clients add; we send an MD5 and compare what comes with its digest.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      maxAttempts: ATTEMPTS,
      requestHandler: {
        connectionTimeout: limits.attemptMs,
        requestTimeout: limits.attemptMs,
        throwOnRequestTimeout: true,
      },
    });
    this.#bucket = bucket;
    this.#prefix = prefix;
    this.#where = endpoint ?? `Amazon S3 in ${region}`;
    this.#requestMs = limits.requestMs;
  }

  get location(): string {
    return `s3://${this.#bucket}/${this.#prefix}`.replace(/\/$/, "");
  }

  /**
   * @param maxBytes a longer answer is refused before memory for it is taken
   * @returns undefined when there is no such object
   * @throws {DrpError} storage.unreachable, storage.damaged
   */
  async get(key: string, maxBytes: number): Promise<Buffer | undefined> {
    return await this.#ask(key, async (Key, signal) => {
      const command = new GetObjectCommand({ Bucket: this.#bucket, Key });
      const { Body, ContentLength } = await this.#client.send(command, { abortSignal: signal });
      if (!(Body instanceof Readable))
        throw damagedStore(`${this.#name(key)}: the store answered with nothing`);
      return await this.#readBody(key, addAbortSignal(signal, Body), ContentLength, maxBytes);
    });
  }

  /**
   * Asks for the object's size afterwards: a store that says "done" and is not is found out at once.
   *
   * @throws {DrpError} storage.unreachable, storage.damaged
   */
  async put(key: string, content: Uint8Array): Promise<void> {
    await this.#ask(key, (Key, signal) => {
      const ContentMD5 = createHash("md5").update(content).digest("base64");
      const command = new PutObjectCommand({ Bucket: this.#bucket, Key, Body: content, ContentMD5 });
      return this.#client.send(command, { abortSignal: signal });
    });
    const sizeBytes = await this.size(key);
    if (sizeBytes === content.length) return;
    const found = sizeBytes === undefined ? "then does not have it" : `then has ${sizeBytes} bytes`;
    throw damagedStore(`${this.#name(key)}: the store accepted ${content.length} bytes and ${found}`);
  }

  /** @returns bytes; undefined when there is no such object */
  async size(key: string): Promise<number | undefined> {
    const head = await this.#ask(key, (Key, signal) =>
      this.#client.send(new HeadObjectCommand({ Bucket: this.#bucket, Key }), { abortSignal: signal }),
    );
    return head?.ContentLength;
  }

  async copy(from: string, to: string): Promise<void> {
    const source = `${this.#bucket}/${this.#prefix}${from}`;
    await this.#ask(to, (Key, signal) =>
      this.#client.send(new CopyObjectCommand({ Bucket: this.#bucket, Key, CopySource: encodeURI(source) }), {
        abortSignal: signal,
      }),
    );
  }

  async delete(key: string): Promise<void> {
    await this.#ask(key, (Key, signal) =>
      this.#client.send(new DeleteObjectCommand({ Bucket: this.#bucket, Key }), { abortSignal: signal }),
    );
  }

  /** @returns keys that begin with `start`, without the store's own prefix */
  async list(start: string): Promise<string[]> {
    const keys: string[] = [];
    const seen = new Set<string>();
    for (let token: string | undefined; ; ) {
      const page = await this.#ask(start, (Prefix, signal) => {
        const more = token === undefined ? {} : { ContinuationToken: token };
        const command = new ListObjectsV2Command({ Bucket: this.#bucket, Prefix, ...more });
        return this.#client.send(command, { abortSignal: signal });
      });
      // Nothing that was asked about is "not there": a list that is not found is a bucket that is not found.
      if (page === undefined) throw this.#unreachable(start, new Error("NoSuchBucket"));
      for (const { Key = "" } of page.Contents ?? []) {
        if (Key.startsWith(this.#prefix)) keys.push(Key.slice(this.#prefix.length));
      }
      if (page.IsTruncated !== true) return keys;
      // Neither a list that ends early nor one without an end: what is not listed would count as gone.
      const next = page.NextContinuationToken;
      if (next === undefined || next === "" || seen.has(next)) {
        const fault = next ? "the same page again" : "no token for the next page";
        throw damagedStore(`${this.#name(start)}: the store says that its list goes on, and gives ${fault}`);
      }
      seen.add(next);
      token = next;
    }
  }

  async #readBody(
    key: string,
    body: Readable,
    expectedBytes: number | undefined,
    maxBytes: number,
  ): Promise<Buffer> {
    const pieces: Buffer[] = [];
    let sizeBytes = 0;
    for await (const piece of body as AsyncIterable<Buffer>) {
      sizeBytes += piece.length;
      if (sizeBytes > maxBytes) {
        throw damagedStore(`${this.#name(key)}: the store answers with more than ${maxBytes} bytes`);
      }
      pieces.push(piece);
    }
    if (expectedBytes !== undefined && sizeBytes !== expectedBytes) {
      throw damagedStore(`${this.#name(key)}: the answer ends after ${sizeBytes} of ${expectedBytes} bytes`);
    }
    return Buffer.concat(pieces);
  }

  /** @returns undefined for an object that is not there */
  async #ask<T>(
    key: string,
    send: (fullKey: string, signal: AbortSignal) => Promise<T>,
  ): Promise<T | undefined> {
    const signal = AbortSignal.timeout(this.#requestMs);
    try {
      return await send(this.#prefix + key, signal);
    } catch (error) {
      if (error instanceof DrpError) throw error;
      if (isNotThere(error)) return undefined;
      throw this.#unreachable(key, signal.aborted ? signal.reason : error);
    }
  }

  #unreachable(key: string, cause: unknown): DrpError {
    const { problem, advice } = explainFailure(cause, this.#requestMs);
    return new DrpError("storage.unreachable", `${this.#name(key)}: ${this.#where} ${problem}`, {
      advice,
      facts: { bucket: this.#bucket, key: this.#prefix + key },
      cause,
    });
  }

  #name(key: string): string {
    return `s3://${this.#bucket}/${this.#prefix}${key}`;
  }
}

function isNotThere(error: unknown): boolean {
  const { name } = error as Error;
  return name === "NoSuchKey" || name === "NotFound";
}

function explainFailure(error: unknown, requestMs: number): { problem: string; advice: string } {
  const { name, $metadata } = error as Error & { $metadata?: { httpStatusCode?: number } };
  const status = $metadata?.httpStatusCode;
  if (name === "NoSuchBucket" || (error as Error).message === "NoSuchBucket") {
    return { problem: "has no such bucket", advice: "Make the bucket, or correct images.store.bucket." };
  }
  if (status === 401 || status === 403) {
    return {
      problem: `refuses: ${name}`,
      advice: "Check the credentials, the bucket's policy, images.store.region, and this host's clock.",
    };
  }
  if (name === "TimeoutError" || name === "AbortError") {
    return {
      problem: `did not answer within ${Math.ceil(requestMs / 1000)} s`,
      advice: "Check the network to the store, and its load; then try again.",
    };
  }
  return {
    problem: `cannot be used: ${describeErrorChain(error)}`,
    advice: "Check images.store.endpoint, the network to it and its certificate; then try again.",
  };
}
