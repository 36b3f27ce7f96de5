/**
 * The HTTPS server that machines of this site talk to (`agent/protocol.ts`). Bare node:https: heartbeats are the bulk of
 * what a site hears, and Express costs more than the work itself. A client certificate is asked for and only its key is
 * looked at; who it belongs to is the machine desk's to say.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { TLSSocket } from "node:tls";
import type { z } from "zod";
import { DrpError } from "../../../core/errors.ts";
import { readBodyText, sendJson, sendProblem } from "../../io/channel-server.ts";
import { keyFingerprint } from "../../key-fingerprint.ts";
import {
  heartbeatSchema,
  progressSchema,
  registerRequestSchema,
  type SignedManifest,
} from "../../protocol.ts";
import type { MachineDesk } from "../machine-desk.ts";

const PREFIX = "/machine/v1/";
/** An inventory of 256 disks and 64 cards is 60 KB. */
const MAX_BODY_BYTES = 256 * 1024;
/** Ten times the largest site that we know of; a stranger's connections stop here. */
const MAX_CONNECTIONS = 2048;

export interface MachineChannelOptions {
  readonly desk: MachineDesk;
  readonly tls: { readonly key: string; readonly cert: string };
  /** Manifest and signature of an image that this site holds. */
  readonly signedManifest: (digest: string) => Promise<SignedManifest | undefined>;
  /** Told about every refusal and failure; the machine gets the same as a problem document. */
  readonly onError: (error: unknown, route: string, remoteAddress: string) => void;
}

export function createMachineChannel(options: MachineChannelOptions): Server {
  const server = createServer(
    { ...options.tls, requestCert: true, rejectUnauthorized: false, minVersion: "TLSv1.3" },
    (request, response) => void serve(options, request, response),
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.requestTimeout = 30_000;
  server.headersTimeout = 10_000;
  return server;
}

async function serve(
  options: MachineChannelOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const route = `${request.method} ${request.url}`;
  try {
    sendJson(response, await answerRoute(options, request, route));
  } catch (error) {
    options.onError(error, route, request.socket.remoteAddress ?? "");
    sendProblem(response, error, { statusOf: STATUS, unexpected: "the site failed to answer" });
  }
}

async function answerRoute(
  { desk, signedManifest }: MachineChannelOptions,
  request: IncomingMessage,
  route: string,
): Promise<unknown> {
  const key = clientKeyFingerprint(request.socket as TLSSocket);
  switch (route) {
    case `POST ${PREFIX}register`:
      return desk.register(
        await readBody(request, registerRequestSchema),
        key,
        request.socket.remoteAddress ?? "",
      );
    case `POST ${PREFIX}next`:
      return desk.next(key);
    case `POST ${PREFIX}progress`:
      await desk.progress(key, await readBody(request, progressSchema));
      return {};
    case `POST ${PREFIX}heartbeat`:
      return desk.heartbeat(key, await readBody(request, heartbeatSchema));
    case `GET ${PREFIX}key-lists`:
      return desk.keyLists(key);
  }
  const digest = route.startsWith(`GET ${PREFIX}images/`)
    ? route.slice(`GET ${PREFIX}images/`.length)
    : undefined;
  if (digest === undefined) throw new DrpError("not-found", `there is no ${route} on this server`);
  const manifest = desk.mayRead(key, digest) ? await signedManifest(digest) : undefined;
  if (manifest === undefined) {
    throw new DrpError(
      "image.unknown",
      `image ${digest} is neither ordered for this machine nor its target, or the site does not hold it`,
      {
        advice: "Push the image again, then order the install again.",
      },
    );
  }
  return manifest;
}

function clientKeyFingerprint(socket: TLSSocket): string {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) {
    throw new DrpError("auth.missing", "this request came without a client certificate", {
      advice: "Machines talk here with their own key; people use the hub's API.",
    });
  }
  return keyFingerprint(certificate.publicKey);
}

async function readBody<T extends z.ZodType>(request: IncomingMessage, schema: T): Promise<z.infer<T>> {
  const parsed = schema.safeParse(parseJson(await readBodyText(request, MAX_BODY_BYTES)));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new DrpError(
    "request.invalid",
    `${issue?.path.join(".") || "the body"}: ${issue?.message ?? "is malformed"}`,
    {
      advice: "Check that the agent in the image is not newer than this site.",
    },
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DrpError("request.invalid", "the body is not JSON", { cause });
  }
}

const STATUS: Partial<Record<DrpError["code"], number>> = {
  "auth.missing": 401,
  "image.unknown": 404,
  "machine.unknown": 403,
  "not-found": 404,
  "request.invalid": 400,
  "request.too-large": 413,
  "token.rejected": 403,
};
