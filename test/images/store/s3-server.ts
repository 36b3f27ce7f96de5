/** An S3 server of other people's making on loopback, and a proxy before it that can be slow, cut, and lie. */
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import S3rver from "@20minutes/s3rver";
import type { S3Credentials } from "../../../src/images/io/s3-objects.ts";
import type { S3StoreSettings } from "../../../src/images/store-settings.ts";

/** The one that the server knows. */
export const CREDENTIALS: S3Credentials = { accessKeyId: "S3RVER", secretAccessKey: "S3RVER" };

/** What the proxy does to one answer. */
export type Fault =
  | { readonly kind: "silence" }
  /** Sends the head of the answer and a part of its body, then nothing. */
  | { readonly kind: "stall" }
  /** Ends the connection after half of the body. */
  | { readonly kind: "cut" }
  /** Ends the body after half of it, with a length that agrees. */
  | { readonly kind: "shorten" }
  | { readonly kind: "change-bytes" }
  | { readonly kind: "endless" }
  /** Passes nothing on. */
  | { readonly kind: "answer"; readonly status: number; readonly body: string };

export interface S3Server extends AsyncDisposable {
  readonly settings: S3StoreSettings;
  /** Asked for every request: "GET /drp/fleet/chunks/ab/…" */
  fault: (line: string) => Fault | undefined;
  /** As `fault` was asked. */
  readonly requests: string[];
}

/**
 * @param signatures "strict" refuses lists too: the server leaves the slash behind the bucket out of what it signs, which
 *   Amazon's client does not
 */
export async function startS3Server(dir: string, signatures: "strict" | "any" = "any"): Promise<S3Server> {
  const server = new S3rver({
    port: 0,
    address: "127.0.0.1",
    silent: true,
    directory: join(dir, signatures),
    allowMismatchedSignatures: signatures === "any",
    configureBuckets: [{ name: "drp" }],
  });
  const { port } = await server.run();
  const requests: string[] = [];
  const proxy = createServer((incoming, response) => {
    const line = `${incoming.method} ${incoming.url}`;
    requests.push(line);
    pass(incoming, response, port, s3.fault(line)).catch(() => response.destroy());
  });
  await new Promise<void>(resolve => proxy.listen(0, "127.0.0.1", resolve));
  const s3: S3Server = {
    settings: {
      kind: "s3",
      endpoint: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      region: "eu-central-1",
      bucket: "drp",
      prefix: "fleet/",
      cacheBytes: 64 * 1024 * 1024,
      credentialsFile: null,
    },
    fault: () => undefined,
    requests,
    async [Symbol.asyncDispose]() {
      await stop(proxy);
      await server.close();
    },
  };
  return s3;
}

async function pass(
  incoming: IncomingMessage,
  response: ServerResponse,
  port: number,
  fault: Fault | undefined,
): Promise<void> {
  const sent = await buffer(incoming);
  if (fault?.kind === "silence") return;
  if (fault?.kind === "answer") {
    response.writeHead(fault.status, { "content-type": "application/xml" }).end(fault.body);
    return;
  }
  const { method, url, headers } = incoming;
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ host: "127.0.0.1", port, method, path: url, headers }, resolve).on("error", reject).end(sent);
  });
  const body = await buffer(answer);
  const half = body.subarray(0, body.length >> 1);
  const statusCode = answer.statusCode ?? 500;
  switch (fault?.kind) {
    case undefined:
      response.writeHead(statusCode, answer.headers).end(body);
      return;
    case "stall":
      response.writeHead(statusCode, answer.headers).write(half);
      return;
    case "cut":
      response.writeHead(statusCode, answer.headers).write(half, () => response.destroy());
      return;
    case "shorten":
      response.writeHead(statusCode, { ...answer.headers, "content-length": half.length }).end(half);
      return;
    case "change-bytes":
      body[half.length] = (body[half.length] ?? 0) ^ 1;
      response.writeHead(statusCode, answer.headers).end(body);
      return;
    case "endless":
      response.writeHead(statusCode, { "transfer-encoding": "chunked" });
      for (let sentBytes = 0; sentBytes < 256 * 1024 * 1024 && !response.destroyed; ) {
        sentBytes += 1024 * 1024;
        await new Promise(resolve => response.write(Buffer.alloc(1024 * 1024), resolve));
      }
  }
}

async function stop(server: Server): Promise<void> {
  const closed = new Promise(resolve => server.close(resolve));
  server.closeAllConnections();
  await closed;
}
