/** A site as its machines see it: the machine channel over TLS, and chunks over HTTP. It keeps what it was told. */
import { hash } from "node:crypto";
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import type { z } from "zod";
import {
  type Heartbeat,
  type heartbeatAnswerSchema,
  heartbeatSchema,
  type InstallProgress,
  type NextAnswer,
  progressSchema,
  type RegisterRequest,
  registerRequestSchema,
  type SignedManifest,
} from "../../../../src/agent/protocol.ts";
import type { SignedKeyList } from "../../../../src/images/key-list.ts";
import { createTestCertificate } from "../../../helpers/test-certificate.ts";

/** Status and body of an answer that is no success. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
}

export class TestSite implements AsyncDisposable {
  readonly registrations: RegisterRequest[] = [];
  readonly progress: InstallProgress[] = [];
  readonly heartbeats: Heartbeat[] = [];
  /** SHA-256 of the public key of whoever asked last. */
  keyFingerprint = "";
  /** Given in turn; the last one again and again. */
  nextAnswers: NextAnswer[] = [];
  /** Each is given once, before anything else is answered; null is a connection that is cut. */
  readonly failures: (Refusal | null)[] = [];
  signedManifest: SignedManifest | null = null;
  /** From list 1 on. */
  keyLists: readonly SignedKeyList[] = [];
  /** Chunks that were asked for, by digest. */
  readonly askedChunks: string[] = [];
  /** Runs before a chunk is given. */
  beforeChunk: (digest: string) => void = () => undefined;
  /** So many questions for a chunk are answered with "it is on its way". */
  stillComing = 0;
  frames: ReadonlyMap<string, Buffer> = new Map();
  answerHeartbeat: (heartbeat: Heartbeat) => z.input<typeof heartbeatAnswerSchema> = ({
    bootCount,
    seq,
  }) => ({
    acknowledged: { bootCount, seq },
    intervalSeconds: 60,
    target: null,
  });

  readonly caPem: string;
  readonly #channel: Server;
  readonly #boot: Server;

  private constructor(caPem: string, tls: { key: string; cert: string }) {
    this.caPem = caPem;
    const options = { ...tls, requestCert: true, rejectUnauthorized: false };
    this.#channel = createHttpsServer(options, (request, response) => void this.#serve(request, response));
    this.#boot = createHttpServer((request, response) => this.#serveChunk(request, response));
  }

  static async start(): Promise<TestSite> {
    const { caPem, ...tls } = await createTestCertificate();
    const site = new TestSite(caPem, tls);
    for (const server of [site.#channel, site.#boot]) {
      await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
    }
    return site;
  }

  get siteUrl(): string {
    return `https://127.0.0.1:${(this.#channel.address() as AddressInfo).port}`;
  }

  get bootUrl(): string {
    return `http://127.0.0.1:${(this.#boot.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of [this.#channel, this.#boot]) {
      server.closeAllConnections();
      await new Promise(resolve => server.close(resolve));
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
    const failure = this.failures.shift();
    if (failure === null) return void request.socket.destroy();
    if (failure !== undefined) {
      response.writeHead(failure.status, { "content-type": "application/problem+json" });
      response.end(JSON.stringify({ type: "about:blank", title: failure.code, ...failure }));
      return;
    }
    const certificate = (request.socket as TLSSocket).getPeerX509Certificate();
    if (certificate === undefined) throw new Error("a machine came without a certificate");
    this.keyFingerprint = hash("sha256", certificate.publicKey.export({ type: "spki", format: "der" }));
    const body = Buffer.concat(parts).toString();
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(this.#answer(`${request.method} ${request.url}`, body)));
  }

  #answer(route: string, body: string): unknown {
    switch (route) {
      case "POST /machine/v1/register":
        this.registrations.push(registerRequestSchema.parse(JSON.parse(body)));
        return { machineId: "m-1", machineName: "till-1" };
      case "POST /machine/v1/next":
        return this.nextAnswers.length > 1 ? this.nextAnswers.shift() : this.nextAnswers[0];
      case "POST /machine/v1/progress":
        this.progress.push(progressSchema.parse(JSON.parse(body)));
        return {};
      case "POST /machine/v1/heartbeat": {
        const heartbeat = heartbeatSchema.parse(JSON.parse(body));
        this.heartbeats.push(heartbeat);
        return { keyListVersion: this.keyLists.length, ...this.answerHeartbeat(heartbeat) };
      }
      case "GET /machine/v1/key-lists":
        return this.keyLists;
      default:
        if (route.startsWith("GET /machine/v1/images/")) return this.signedManifest;
        throw new Error(`no machine asks for ${route}`);
    }
  }

  #serveChunk(request: IncomingMessage, response: ServerResponse): void {
    const digest = (request.url ?? "").replace("/chunks/", "");
    this.askedChunks.push(digest);
    this.beforeChunk(digest);
    if (this.stillComing > 0) {
      this.stillComing--;
      response.writeHead(503, { "content-length": 0 });
      return void response.end();
    }
    const frame = this.frames.get(digest);
    response.writeHead(frame === undefined ? 404 : 200, { "content-length": frame?.length ?? 0 });
    response.end(frame);
  }
}
