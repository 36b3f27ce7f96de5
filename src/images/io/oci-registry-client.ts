/** HTTP as registries want it: tokens, redirects, ranges, time limits. Knows nothing of what is fetched. */
import { DrpError } from "../../core/errors.ts";
import {
  followRedirect,
  type OciChallenge,
  type OciCredentials,
  parseChallenge,
  tokenUrl,
} from "../oci-auth.ts";
import { isLoopbackHost, type OciReference } from "../oci-reference.ts";
import { HttpAnswer } from "./http-answer.ts";

export interface RegistryClientOptions {
  readonly reference: OciReference;
  /** http is spoken to this host itself, and else only where it is asked for. */
  readonly plainHttp: boolean;
  readonly credentials: OciCredentials | undefined;
}

const MAX_REDIRECTS = 5;
const MAX_TOKEN_BYTES = 64 * 1024;

export class RegistryClient {
  readonly host: string;
  readonly #reference: OciReference;
  readonly #plainHttp: boolean;
  readonly #credentials: OciCredentials | undefined;
  readonly #base: string;
  #authorization: string | undefined;

  constructor({ reference, plainHttp, credentials }: RegistryClientOptions) {
    this.host = reference.host;
    this.#reference = reference;
    this.#plainHttp = plainHttp;
    this.#credentials = credentials;
    this.#base = `${plainHttp || isLoopbackHost(reference.host) ? "http" : "https"}://${reference.host}`;
  }

  /**
   * @param fromByte what is there already
   * @throws {DrpError} registry.failed when the registry refuses; another error when the connection breaks
   */
  async *download(path: string, fromByte: number): AsyncGenerator<Uint8Array, void, void> {
    const range: Record<string, string> = fromByte === 0 ? {} : { range: `bytes=${fromByte}-` };
    await using response = await this.#get(path, range);
    const isRest = response.status === 206;
    if (isRest && !response.header("content-range").startsWith(`bytes ${fromByte}-`)) {
      throw this.#failed(path, "gave another range than was asked for");
    }
    // Who knows no ranges begins again.
    let skip = isRest ? 0 : fromByte;
    for await (const piece of response.pieces()) {
      const skipped = Math.min(skip, piece.length);
      skip -= skipped;
      if (skipped < piece.length) yield piece.subarray(skipped);
    }
  }

  /** @throws {DrpError} registry.failed */
  async fetchSmall(path: string, limitBytes: number, accept: string): Promise<Buffer> {
    try {
      await using response = await this.#get(path, { accept });
      return await response.small(limitBytes);
    } catch (error) {
      throw this.explain(path, error);
    }
  }

  /** @param error of a connection that broke for good */
  explain(path: string, error: unknown): unknown {
    if (error instanceof DrpError) return error;
    return new DrpError("registry.failed", `cannot fetch ${path} from ${this.host}`, {
      advice: "Check the host, its port, whether it speaks https, and the network between.",
      cause: error,
    });
  }

  async #get(path: string, headers: Record<string, string>): Promise<HttpAnswer> {
    const url = new URL(this.#base + path);
    const first = await this.#request(url, headers);
    if (first.status !== 401) return this.#requireGood(path, first);
    const challenge = parseChallenge(first.header("www-authenticate"));
    await first[Symbol.asyncDispose]();
    this.#authorization = await this.#authorize(path, challenge);
    return this.#requireGood(path, await this.#request(url, headers));
  }

  async #requireGood(path: string, answer: HttpAnswer): Promise<HttpAnswer> {
    if (answer.status === 200 || answer.status === 206) return answer;
    await answer[Symbol.asyncDispose]();
    // A server in trouble may come back; what it refuses, it refuses again.
    if (answer.status >= 500 || answer.status === 429)
      throw new Error(`${this.host} answers ${answer.status}`);
    throw this.#failed(path, `answers ${answer.status}`, adviceFor(answer.status));
  }

  async #authorize(path: string, challenge: OciChallenge | undefined): Promise<string> {
    const basic =
      this.#credentials &&
      `Basic ${Buffer.from(`${this.#credentials.username}:${this.#credentials.password}`).toString("base64")}`;
    if (challenge?.kind === "basic") {
      if (basic === undefined) throw this.#failed(path, "wants a name and a password", LOG_IN);
      return basic;
    }
    const url = challenge && tokenUrl(challenge, this.#reference, this.#plainHttp);
    if (url === undefined)
      throw this.#failed(path, "wants to know who asks, in a way that is not safe or not known here");
    await using answer = await this.#request(url, basic === undefined ? {} : { authorization: basic }, false);
    if (answer.status !== 200)
      throw this.#failed(path, `gives no token: ${url.host} answers ${answer.status}`, LOG_IN);
    const token = readToken((await answer.small(MAX_TOKEN_BYTES)).toString("utf8"));
    if (token === undefined)
      throw this.#failed(path, `gives no token: ${url.host} answers without one`, LOG_IN);
    return `Bearer ${token}`;
  }

  /** @param isRegistry false for the server of tokens, which is told nothing but what is given here */
  async #request(start: URL, headers: Record<string, string>, isRegistry = true): Promise<HttpAnswer> {
    let url = start;
    let authorization = isRegistry ? this.#authorization : undefined;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const answer = await HttpAnswer.of(url, {
        // Bytes must come as they are kept.
        "accept-encoding": "identity",
        ...headers,
        ...(authorization === undefined ? {} : { authorization }),
      });
      const isRedirect = answer.status >= 301 && answer.status <= 308 && answer.status !== 304;
      // Only the registry itself may ask who we are: what another host asks for would be told to whom that host names.
      if (answer.status === 401 && url.origin !== start.origin) {
        await answer[Symbol.asyncDispose]();
        throw this.#failed(start.pathname, `redirects to ${url.host}, which answers 401`);
      }
      if (!isRedirect) return answer;
      await answer[Symbol.asyncDispose]();
      // Who gives tokens is asked with a name and a password, which go nowhere else.
      if (!isRegistry) break;
      const next = followRedirect(url, answer.header("location"), this.#plainHttp);
      if (!next.keepsAuthorization) authorization = undefined;
      url = next.url;
    }
    throw this.#failed(start.pathname, "redirects without end");
  }

  #failed(path: string, what: string, advice = "Look at the registry and its log."): DrpError {
    return new DrpError("registry.failed", `${this.host} ${what} (${path})`, { advice });
  }
}

const LOG_IN =
  "Log in with skopeo, podman or docker login, and name the file that keeps it with --auth-file.";

function adviceFor(status: number): string {
  if (status === 404) return "Check the name and the tag: skopeo list-tags docker://HOST/NAME.";
  return status === 401 || status === 403 ? LOG_IN : "Look at the registry and its log.";
}

function readToken(text: string): string | undefined {
  try {
    const { token, access_token: accessToken } = JSON.parse(text) as {
      token?: unknown;
      access_token?: unknown;
    };
    const found = token ?? accessToken;
    // A token goes into a header.
    return typeof found === "string" && /^[\x21-\x7e]+$/.test(found) ? found : undefined;
  } catch {
    return undefined;
  }
}
