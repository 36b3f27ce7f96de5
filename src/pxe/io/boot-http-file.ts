/** Answers a request with a file of ours: its size, all of it, or the part that was asked for. */
import { type FileHandle, open } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { contentTypeOf } from "../http-content-type.ts";
import type { FileSent } from "../http-events.ts";
import { decideFileAnswer } from "../http-file-answer.ts";
import type { PiecePool } from "./boot-http-piece-pool.ts";
import { sendText } from "./boot-http-text.ts";
import { sendPieces } from "./boot-http-transfer.ts";

export interface FileToSend {
  readonly urlPath: string;
  readonly filePath: string;
  /** Its name is its digest: it never changes. */
  readonly immutable: boolean;
  readonly pool: PiecePool;
  readonly pieceMs: number;
}

/** @throws where the file cannot be opened; nothing is sent then */
export async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  toSend: FileToSend,
): Promise<FileSent> {
  // One open file from the first byte to the last: whoever replaces it by renaming (as our builds do) disturbs nobody.
  await using file = await open(toSend.filePath);
  return await sendOpenFile(request, response, file, toSend);
}

async function sendOpenFile(
  request: IncomingMessage,
  response: ServerResponse,
  file: FileHandle,
  { urlPath, immutable, pool, pieceMs }: FileToSend,
): Promise<FileSent> {
  const version = await versionOf(file);
  const { fileBytes, etag } = version;
  response.setHeader("etag", etag);
  response.setHeader("accept-ranges", "bytes");
  response.setHeader("cache-control", immutable ? "public, max-age=31536000, immutable" : "no-cache");
  const method = request.method ?? "GET";
  const answer = decideFileAnswer({ method, headers: request.headers }, fileBytes, etag);
  if (answer.kind === "not-modified") {
    response.writeHead(304).end();
    return { kind: "none" };
  }
  if (answer.kind === "precondition-failed") {
    sendText(response, 412, "The file has another version now.\n");
    return { kind: "none" };
  }
  if (answer.kind === "unsatisfiable") {
    response.setHeader("content-range", `bytes */${fileBytes}`);
    sendText(response, 416, `The file has ${fileBytes} bytes.\n`);
    return { kind: "none" };
  }
  const [first, last] = answer.kind === "part" ? [answer.first, answer.last] : [0, fileBytes - 1];
  if (answer.kind === "part") response.setHeader("content-range", `bytes ${first}-${last}/${fileBytes}`);
  const sizeBytes = last - first + 1;
  response.writeHead(answer.kind === "part" ? 206 : 200, {
    "content-type": contentTypeOf(urlPath),
    "content-length": sizeBytes,
  });
  if (method === "HEAD") {
    response.end();
    return { kind: "size", fileBytes };
  }
  const changed = async () => !immutable && (await versionOf(file)).etag !== etag;
  const sent = await sendPieces(response, file, { first, last, pool, pieceMs, changed });
  if (sent.problem === null) response.end();
  else response.destroy();
  return { kind: "bytes", fileBytes, firstByte: answer.kind === "part" ? first : null, sizeBytes, ...sent };
}

async function versionOf(file: FileHandle): Promise<{ fileBytes: number; etag: string }> {
  const { size, mtimeMs } = await file.stat();
  return { fileBytes: size, etag: `"${size.toString(16)}-${Math.floor(mtimeMs * 1000).toString(16)}"` };
}
