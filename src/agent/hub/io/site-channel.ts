/**
 * The HTTPS server that sites elsewhere talk to (`agent/site-protocol.ts`). Bare node:https, as the machine channel: the
 * heartbeats of every machine of the fleet come through here. The fleet's CA must have signed the client's certificate, and
 * its key must be that of a site that has joined.
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import type { TLSSocket } from "node:tls";
import type { z } from "zod";
import { DrpError } from "../../../core/errors.ts";
import type { Clock } from "../../../core/time.ts";
import type { DeltaSource } from "../../../images/delta-source.ts";
import type { ImageRegistry } from "../../../images/io/registry.ts";
import { chunkDigestSchema, imageDigestSchema } from "../../../images/manifest.ts";
import { describeSchemaIssue } from "../../../images/schema-issue.ts";
import { parseRange } from "../../../pxe/http-range.ts";
import type { SiteRecord, Store } from "../../../store/ports.ts";
import { closeServer, listenOnPort, readBodyText, sendJson, sendProblem } from "../../io/channel-server.ts";
import { keyFingerprint } from "../../key-fingerprint.ts";
import {
  MAX_REPORTS_BYTES,
  POLL_MS,
  type SyncAnswer,
  type SyncRequest,
  syncRequestSchema,
  transferRequestSchema,
} from "../../site-protocol.ts";
import { planTransfer } from "./plan-transfer.ts";
import { SiteDesk } from "./site-desk.ts";

const PREFIX = "/site/v1/";
const DELTA_URL = /^\/site\/v1\/deltas\/(sha256:[0-9a-f]{64})\/(sha256:[0-9a-f]{64})\/([0-9a-f]{64})$/;
/** A bitmap of the largest image, and the names of what is held. */
const MAX_TRANSFER_BYTES = 64 * 1024;
/** A batch is cut at MAX_REPORTS_BYTES; its last report, an inventory of 256 KiB at most, may reach over that. */
const MAX_BODY_BYTES = MAX_REPORTS_BYTES + 512 * 1024;
/** Thousands of sites, each with one poll, one sender and some chunk fetches. */
const MAX_CONNECTIONS = 32_768;

export interface SiteChannelOptions {
  readonly store: Store;
  readonly registry: Pick<ImageRegistry, "manifest" | "findChunk" | "frameSize">;
  /** Null: this hub makes no deltas. */
  readonly deltas: DeltaSource | null;
  /** 0: any free one. */
  readonly port: number;
  readonly tls: { readonly key: string; readonly cert: string };
  readonly caPem: string;
  readonly clock: Clock;
  /** Told about every refusal and failure; the site gets the same as a problem document. */
  readonly onError: (context: string, error: unknown) => void;
}

export interface SiteChannel {
  readonly port: number;
  stop(): Promise<void>;
}

/** @throws {DrpError} port.in-use, port.forbidden */
export async function startSiteChannel(options: SiteChannelOptions): Promise<SiteChannel> {
  const door = new SiteDoor(options);
  const server = createServer(
    // A certificate that does not hold is answered with the reason, which a broken handshake cannot give.
    {
      ...options.tls,
      ca: options.caPem,
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: "TLSv1.3",
    },
    (request, response) => void door.serve(request, response),
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.requestTimeout = 60_000;
  server.headersTimeout = 10_000;
  await listenOnPort(server, options.port, { what: "the site channel", setting: "siteChannel.port" });
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      await closeServer(server);
      await door.close();
    },
  };
}

class SiteDoor {
  readonly #options: SiteChannelOptions;
  /** By site id; opened when the site first comes. */
  readonly #desks = new Map<string, Promise<SiteDesk>>();
  /** By site id: its last plan. */
  readonly #planning = new Map<string, Promise<unknown>>();

  constructor(options: SiteChannelOptions) {
    this.#options = options;
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const route = `${request.method} ${request.url}`;
    try {
      const site = await this.#requireSite(request.socket as TLSSocket);
      await this.#answer(site, route, request, response);
    } catch (error) {
      if (response.destroyed) return;
      this.#options.onError(`${route} from ${request.socket.remoteAddress}`, error);
      if (response.headersSent) response.destroy();
      else sendProblem(response, error, { statusOf: STATUS, unexpected: "the hub failed to answer" });
    }
  }

  async close(): Promise<void> {
    for (const desk of await Promise.allSettled(this.#desks.values())) {
      if (desk.status === "fulfilled") desk.value.close();
    }
  }

  async #requireSite(socket: TLSSocket): Promise<SiteRecord> {
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined || !socket.authorized) {
      const why = certificate === undefined ? "it shows none" : String(socket.authorizationError);
      throw new DrpError("auth.rejected", `this client has no certificate of the fleet's CA: ${why}`, {
        advice: "Join the site again with a new token: drp site join",
      });
    }
    const site = await this.#options.store.findSiteByKey(keyFingerprint(certificate.publicKey));
    if (site !== undefined) return site;
    throw new DrpError("site.not-joined", "no site of the fleet has joined with this key", {
      advice: "Join the site again with a new token: drp site join",
    });
  }

  async #answer(
    site: SiteRecord,
    route: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (route === `POST ${PREFIX}sync`) {
      const body = await readBody(request, syncRequestSchema, MAX_BODY_BYTES);
      return sendJson(response, await this.#sync(site, body, response));
    }
    const { registry } = this.#options;
    const { method = "", url = "" } = request;
    const [, kind, digest = ""] = /^GET \/site\/v1\/(images|chunks)\/([^/]+)$/.exec(route) ?? [];
    if (kind === "images" && imageDigestSchema.safeParse(digest).success) {
      const manifest = await registry.manifest(digest);
      if (manifest !== undefined) return sendJson(response, manifest);
    }
    if (kind === "chunks" && chunkDigestSchema.safeParse(digest).success) {
      const path = await registry.findChunk(digest);
      if (path !== undefined) return sendFile(request, response, path);
    }
    const [, planned = ""] = /^POST \/site\/v1\/images\/([^/]+)\/transfer$/.exec(route) ?? [];
    if (imageDigestSchema.safeParse(planned).success) {
      const wanted = await readBody(request, transferRequestSchema, MAX_TRANSFER_BYTES);
      const answer = await this.#inTurn(site, async () =>
        response.destroyed ? undefined : await planTransfer(this.#options, site.id, planned, wanted),
      );
      if (answer !== undefined) return sendJson(response, answer);
    }
    const delta = method === "GET" ? this.#findDelta(url) : undefined;
    if (delta !== undefined) return sendFile(request, response, delta);
    throw new DrpError("not-found", `the hub does not hold ${request.url}`);
  }

  /** One plan at a time for each site: it reads manifests of megabytes, and looks at thousands of files. */
  async #inTurn<T>(site: SiteRecord, plan: () => Promise<T>): Promise<T> {
    const planned = (this.#planning.get(site.id) ?? Promise.resolve()).then(plan);
    const settled = planned.catch(() => {});
    this.#planning.set(site.id, settled);
    try {
      return await planned;
    } finally {
      if (this.#planning.get(site.id) === settled) this.#planning.delete(site.id);
    }
  }

  /** The file that a site began with, or none: another one would not go with its beginning. */
  #findDelta(url: string): string | undefined {
    const [, from = "", to = "", sha256 = ""] = DELTA_URL.exec(url) ?? [];
    return sha256 === "" ? undefined : this.#options.deltas?.findOffered(from, to, sha256);
  }

  async #sync(
    site: SiteRecord,
    { reports, knownViewRevision }: SyncRequest,
    response: ServerResponse,
  ): Promise<SyncAnswer> {
    const { clock } = this.#options;
    const desk = await this.#deskOf(site);
    if (knownViewRevision > desk.viewRevision) desk.raiseRevision(knownViewRevision);
    if (reports.length > 0) await desk.keep(reports, clock());
    else {
      await desk.markSeen(clock());
      if (knownViewRevision === desk.viewRevision) await nextView(desk, response);
    }
    const { reportsKept: keptSeq, viewRevision } = desk;
    return { keptSeq, viewRevision, view: viewRevision === knownViewRevision ? null : desk.view() };
  }

  #deskOf(site: SiteRecord): Promise<SiteDesk> {
    let desk = this.#desks.get(site.id);
    if (desk === undefined) {
      desk = SiteDesk.open(this.#options.store, site, this.#options.clock());
      desk.catch(() => this.#desks.delete(site.id));
      this.#desks.set(site.id, desk);
    }
    return desk;
  }
}

/** Resolves when there is a new view, when the poll has lasted, or when nobody waits for the answer any more. */
async function nextView(desk: SiteDesk, response: ServerResponse): Promise<void> {
  await new Promise<void>(resolve => {
    const done = () => {
      clearTimeout(timer);
      stopListening();
      response.off("close", done);
      resolve();
    };
    const timer = setTimeout(done, POLL_MS);
    const stopListening = desk.onViewChanged(done);
    response.once("close", done);
  });
}

async function readBody<T>(request: IncomingMessage, schema: z.ZodType<T>, maxBytes: number): Promise<T> {
  const parsed = schema.safeParse(parseJson(await readBodyText(request, maxBytes)));
  if (parsed.success) return parsed.data;
  throw new DrpError("request.invalid", describeSchemaIssue(parsed.error), {
    advice: "Check that the site's drp is not newer than the hub's.",
  });
}

/** Undefined for what is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whole, or the range that a site still lacks after a cut. */
async function sendFile(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) throw new DrpError("not-found", `the hub does not hold ${request.url}`);
  const range = parseRange(request.headers.range, found.size);
  const type = { "content-type": "application/octet-stream" };
  if (range.kind === "unsatisfiable") {
    response.writeHead(416, { "content-range": `bytes */${found.size}` }).end();
    return;
  }
  if (range.kind === "whole") {
    response.writeHead(200, { ...type, "content-length": found.size });
    return pipeline(createReadStream(path), response);
  }
  const { first, last } = range;
  response.writeHead(206, {
    ...type,
    "content-length": last - first + 1,
    "content-range": `bytes ${first}-${last}/${found.size}`,
  });
  await pipeline(createReadStream(path, { start: first, end: last }), response);
}

const STATUS: Partial<Record<DrpError["code"], number>> = {
  "auth.rejected": 401,
  "not-found": 404,
  "request.invalid": 400,
  "request.too-large": 413,
  "site.not-joined": 403,
};
