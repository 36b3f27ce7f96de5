/** From a token's secret to who calls. */
import { DrpError } from "../core/errors.ts";
import type { Clock } from "../core/time.ts";
import type { Store } from "../store/ports.ts";
import type { Caller } from "./route.ts";
import { SignInLimit } from "./sign-in-limit.ts";
import { hashTokenSecret } from "./token-secret.ts";

export class Authenticator {
  readonly #store: Pick<Store, "findTokenByHash">;
  readonly #clock: Clock;
  readonly #limit = new SignInLimit();

  constructor(store: Pick<Store, "findTokenByHash">, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** @throws {DrpError} auth.rejected; auth.limited after too many failures from this address */
  async identify(secret: string, remoteAddress: string): Promise<Caller> {
    const now = this.#clock();
    this.#limit.requireAllowed(remoteAddress, now);
    const token = await this.#store.findTokenByHash(hashTokenSecret(secret));
    if (token === undefined || (token.expiresAt !== null && token.expiresAt <= now)) {
      this.#limit.recordFailure(remoteAddress, now);
      const expired = token === undefined ? "is not known" : "has expired";
      throw new DrpError("auth.rejected", `this token ${expired}`, {
        advice: "Ask an admin for a new one: drp tokens create",
      });
    }
    return { tokenId: token.id, name: token.name, role: token.role };
  }
}
