/** The machine's side of the machine channel (agent/protocol.ts): TLS with the fleet's CA pinned and the machine's own key. */
import { Agent } from "node:https";
import type { z } from "zod";
import { DrpError } from "../../../core/errors.ts";
import { exchange, parseJson } from "./http-request.ts";
import type { MachineKey } from "./machine-key.ts";

/** A signed manifest of 65,536 chunks, with the escapes of JSON in JSON. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

export class SiteClient {
  readonly #base: string;
  readonly #agent: Agent;

  constructor(siteUrl: string, caPem: string, key: MachineKey) {
    this.#base = `${siteUrl}/machine/v1`;
    this.#agent = new Agent({
      ca: caPem,
      key: key.privateKeyPem,
      cert: key.certificatePem,
      minVersion: "TLSv1.3",
      keepAlive: true,
      maxSockets: 2,
    });
  }

  /** @throws {DrpError} site.unreachable, version.unsupported, or the site's refusal */
  async get<T>(path: string, answerSchema: z.ZodType<T>): Promise<T> {
    return await this.#ask(path, undefined, answerSchema);
  }

  /** @throws {DrpError} as `get` */
  async post<T>(path: string, json: unknown, answerSchema: z.ZodType<T>): Promise<T> {
    return await this.#ask(path, json, answerSchema);
  }

  close(): void {
    this.#agent.destroy();
  }

  async #ask<T>(path: string, json: unknown, answerSchema: z.ZodType<T>): Promise<T> {
    const url = `${this.#base}${path}`;
    const body = await exchange({ url, agent: this.#agent, json, maxAnswerBytes: MAX_ANSWER_BYTES });
    const answer = answerSchema.safeParse(parseJson(body));
    if (answer.success) return answer.data;
    throw new DrpError("version.unsupported", `${url} answers in a form that this agent does not know`, {
      advice: "Update the older one of site agent and boot files.",
      cause: answer.error,
    });
  }
}
