/**
 * Joins a box to a fleet: the token says which CA is the right one before anything of worth is sent, and the hub signs a
 * certificate for the key that the box makes here.
 */
import "reflect-metadata";
import { createPublicKey, webcrypto } from "node:crypto";
import { Agent, request as httpsRequest, type RequestOptions } from "node:https";
import { isIP } from "node:net";
import { buffer } from "node:stream/consumers";
import {
  PemConverter,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
} from "@peculiar/x509";
import { z } from "zod";
import { DrpError, type ErrorCode } from "../../../core/errors.ts";
import { type JoinToken, parseJoinToken } from "../../join-token.ts";
import { keyFingerprint } from "../../key-fingerprint.ts";
import { problemSchema } from "../../protocol.ts";
import type { SiteMembership } from "./site-membership.ts";

const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const TIMEOUT_MS = 30_000;

/** The part of the API's answer that a site uses (api/wire.ts, joinedSiteSchema). */
const joinedSchema = z.object({
  siteId: z.string(),
  siteName: z.string(),
  certificatePem: z.string(),
  siteChannelPort: z.int(),
});

export interface JoinOptions {
  readonly token: string;
  /** Of the hub's API: "https://HUB:8092". */
  readonly hubUrl: string;
  /** Addresses and DNS names under which machines reach this site. */
  readonly names: readonly string[];
}

/**
 * @throws {DrpError} request.invalid for a text that is no token or no URL; hub.unreachable; auth.rejected when the hub is not
 *   the token's; token.rejected when the token is used or has expired
 */
export async function joinFleet({ token, hubUrl, names }: JoinOptions): Promise<SiteMembership> {
  const pinned = parseJoinToken(token);
  if (pinned === undefined) {
    throw new DrpError("request.invalid", "this is no join token", {
      advice: "Copy the whole of what `drp sites create` printed: drp-join.…",
    });
  }
  const base = readHubUrl(hubUrl);
  const caPem = await fetchCa(base, pinned);
  const { keyPem, certificateRequestPem } = await createSiteKey(names);
  const answer = await ask(
    new URL("/api/v1/sites/join", base),
    { method: "POST", ca: caPem },
    { joinToken: token.trim(), certificateRequestPem },
  );
  const joined = joinedSchema.parse(JSON.parse(answer));
  const channel = new URL(base);
  channel.port = String(joined.siteChannelPort);
  return {
    siteId: joined.siteId,
    siteName: joined.siteName,
    hubUrl: channel.origin,
    caPem,
    tls: { key: keyPem, cert: joined.certificatePem },
  };
}

function readHubUrl(text: string): URL {
  const url = URL.parse(text);
  if (url?.protocol === "https:") return url;
  throw new DrpError("request.invalid", `${text} is no HTTPS URL`, {
    advice: "Name the hub's API: --hub https://HUB:8092",
  });
}

/** Nothing is believed of this connection but the CA, and that only because the token names its key. */
async function fetchCa(base: URL, { caFingerprint }: JoinToken): Promise<string> {
  const pem = await ask(new URL("/api/v1/ca.pem", base), { method: "GET", rejectUnauthorized: false });
  const shown = fingerprintOf(pem);
  if (shown === caFingerprint) return pem;
  throw new DrpError("auth.rejected", `${base.origin} is not the hub that made this token`, {
    advice:
      "Check the address. If it is right, somebody stands between this box and the hub: nothing was sent to them.",
    facts: { expected: caFingerprint, shown },
  });
}

function fingerprintOf(pem: string): string {
  try {
    return keyFingerprint(createPublicKey(pem));
  } catch {
    return "no certificate";
  }
}

/** A P-256 key, and a PKCS #10 request for these addresses and DNS names. */
export async function createSiteKey(
  names: readonly string[],
): Promise<{ keyPem: string; certificateRequestPem: string }> {
  const keys = await webcrypto.subtle.generateKey(P256, true, ["sign", "verify"]);
  const alternativeNames = names.map(value => ({ type: isIP(value) === 0 ? "dns" : "ip", value }) as const);
  const request = await Pkcs10CertificateRequestGenerator.create(
    {
      name: "CN=drp site",
      keys,
      signingAlgorithm: P256,
      extensions: [new SubjectAlternativeNameExtension(alternativeNames)],
    },
    webcrypto,
  );
  const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    keyPem: `${PemConverter.encode(pkcs8, "PRIVATE KEY")}\n`,
    certificateRequestPem: request.toString("pem"),
  };
}

/** @throws {DrpError} hub.unreachable, or the hub's own code when it refuses */
async function ask(url: URL, options: RequestOptions, json?: unknown): Promise<string> {
  // No connection may be shared with one that was made under other rules.
  const agent = new Agent({ keepAlive: false });
  const { status, body } = await send(url, { ...options, agent }, json).catch(cause => {
    throw new DrpError("hub.unreachable", `${url.origin} does not answer`, {
      advice: "Check the address, the WAN line, and that `drp serve` runs there.",
      cause,
    });
  });
  if (status >= 200 && status < 300) return body;
  const problem = problemSchema.safeParse(parseJson(body));
  if (!problem.success) throw new DrpError("internal", `${url.href} answers with HTTP ${status}`);
  const { code, detail, advice } = problem.data;
  throw new DrpError(code as ErrorCode, detail, advice === undefined ? {} : { advice });
}

function send(url: URL, options: RequestOptions, json: unknown): Promise<{ status: number; body: string }> {
  const content = json === undefined ? undefined : Buffer.from(JSON.stringify(json));
  const headers =
    content === undefined ? {} : { "content-type": "application/json", "content-length": content.length };
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      url,
      { ...options, headers, signal: AbortSignal.timeout(TIMEOUT_MS) },
      response => {
        buffer(response).then(
          body => resolve({ status: response.statusCode ?? 0, body: body.toString("utf8") }),
          reject,
        );
      },
    );
    request.on("error", reject);
    request.end(content);
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
