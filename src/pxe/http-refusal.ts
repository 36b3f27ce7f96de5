/** What is said to a client that sent no request that can be answered, and what the timeline says of it. */

export interface Refusal {
  /** Status line, headers and text, as they go on the wire; the connection ends with it. */
  readonly answer: string;
  /** For the timeline. */
  readonly summary: string;
}

/** A TLS record that begins a handshake (RFC 8446 §5.1): type 22, version 3.x. */
const isTlsHandshake = (bytes: Uint8Array | undefined) => bytes?.[0] === 22 && bytes[1] === 3;

/**
 * @param code of Node's HTTP parser ("HPE_…"), of its clock ("ERR_HTTP_REQUEST_TIMEOUT"), or of the connection
 * @param received what the parser was given last
 * @returns undefined where the client has gone and nobody is there to be told
 */
export function decideRefusal(
  code: string,
  received: Uint8Array | undefined,
  headersMs: number,
): Refusal | undefined {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") {
    return refusal("408 Request Timeout", `sent no whole request in ${headersMs / 1000} s`);
  }
  if (code === "HPE_HEADER_OVERFLOW") {
    return refusal("431 Request Header Fields Too Large", "sent a request that is too long");
  }
  if (!code.startsWith("HPE_")) return undefined;
  if (isTlsHandshake(received)) {
    return refusal("400 Bad Request", "speaks TLS; boot files are served as http:// only");
  }
  return refusal("400 Bad Request", `sent something that is no HTTP request (${code})`);
}

function refusal(status: string, summary: string): Refusal {
  const text = `${summary}\n`;
  const headers = ["connection: close", "content-type: text/plain", `content-length: ${text.length}`];
  return { answer: `HTTP/1.1 ${[status, ...headers].join("\r\n")}\r\n\r\n${text}`, summary };
}
