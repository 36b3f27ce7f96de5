/** The head of an HTTP/1.1 answer, as far as someone needs it who fetches files of a known server (RFC 9112). */
import { DecodeError } from "../../core/errors.ts";

export interface AnswerHead {
  readonly status: number;
  /** Of the head with its empty line: where the body begins. */
  readonly headBytes: number;
  /** Null: the server does not say; the body then ends in a way that is not read here. */
  readonly bodyBytes: number | null;
  /** Whether the connection is good for another request. */
  readonly keepsAlive: boolean;
}

/** What our own server sends has 200 to 400. */
export const MAX_HEAD_BYTES = 8 * 1024;

/**
 * @param bytes from the answer's first byte on, as many as have come
 * @returns undefined while the head's end is not in sight
 * @throws {DecodeError} for what is no HTTP/1.1, or a head of more than MAX_HEAD_BYTES
 */
export function parseAnswerHead(bytes: Buffer): AnswerHead | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0 && bytes.length < MAX_HEAD_BYTES) return undefined;
  if (end < 0 || end + 4 > MAX_HEAD_BYTES)
    throw new DecodeError(`a head of more than ${MAX_HEAD_BYTES} bytes came`);
  const [statusLine = "", ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
  const status = /^HTTP\/1\.1 ([2-5]\d\d)(?: |$)/.exec(statusLine)?.[1];
  if (status === undefined)
    throw new DecodeError(`${JSON.stringify(statusLine.slice(0, 80))} is no answer in HTTP/1.1`);
  const fields = lines.map(line => /^([^:\s]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? []);
  const fieldOf = (name: string) => fields.find(([, field]) => field?.toLowerCase() === name)?.[2];
  const length = /^\d{1,15}$/.exec(fieldOf("content-length") ?? "")?.[0];
  return {
    status: Number(status),
    headBytes: end + 4,
    bodyBytes: length === undefined || fieldOf("transfer-encoding") !== undefined ? null : Number(length),
    keepsAlive: fieldOf("connection")?.toLowerCase() !== "close",
  };
}
