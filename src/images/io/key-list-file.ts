/** The chain of key lists as a machine keeps it: a list counts from the moment that it is safe on disk, and never less after. */
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { DrpError } from "../../core/errors.ts";
import type { EpochMs } from "../../core/time.ts";
import {
  decideKeyLists,
  type KeyChain,
  type KeyListDecision,
  knownKeys,
  newestKeyList,
  parseKeyChain,
  provenTime,
} from "../key-chain.ts";
import { type SignedKeyList, signedKeyListsSchema } from "../key-list.ts";
import type { TrustedKey } from "../keys.ts";
import { syncDirectory, writeWhole } from "./durable-files.ts";

const contentSchema = z.object({
  /** It is later than this, whatever a clock says: when the ramdisk that installed the machine was built. */
  builtAt: z.int().nonnegative(),
  lists: signedKeyListsSchema,
});
type Content = z.infer<typeof contentSchema>;

export class KeyListFile {
  readonly #path: string;
  readonly #builtAt: EpochMs;
  #chain: KeyChain;

  private constructor(path: string, builtAt: EpochMs, chain: KeyChain) {
    this.#path = path;
    this.#builtAt = builtAt;
    this.#chain = chain;
  }

  /**
   * Trust has no fallback: without a file that holds, nobody is believed.
   *
   * @throws {DrpError} input.unreadable, with `advice`; key-list.rejected
   */
  static async open(path: string, advice: string): Promise<KeyListFile> {
    let content: Content;
    try {
      content = contentSchema.parse(JSON.parse(await readFile(path, "utf8")));
    } catch (cause) {
      throw new DrpError("input.unreadable", `${path} cannot be read as a chain of key lists`, {
        advice,
        cause,
      });
    }
    return new KeyListFile(path, content.builtAt, parseKeyChain(content.lists));
  }

  /** 0: it trusts nobody yet. */
  get version(): number {
    return newestKeyList(this.#chain)?.version ?? 0;
  }

  /** Keeps what carries the chain further; durable when it resolves. */
  async take(offered: readonly SignedKeyList[]): Promise<KeyListDecision> {
    const decision = decideKeyLists(this.#chain, offered);
    if (decision.kind === "accepted") {
      await writeWhole(
        this.#path,
        encodeKeyListFile(
          this.#builtAt,
          decision.chain.map(({ signed }) => signed),
        ),
      );
      await syncDirectory(dirname(this.#path));
      this.#chain = decision.chain;
    }
    return decision;
  }

  /** @param now by this machine's clock */
  keysAt(now: EpochMs): readonly TrustedKey[] {
    return keysOnMachine(this.#chain, now, this.#builtAt);
  }
}

/** @param builtAt of the ramdisk: no earlier moment is believed */
export function keysOnMachine(chain: KeyChain, now: EpochMs, builtAt: EpochMs): readonly TrustedKey[] {
  const clock = { at: now, by: "this machine's clock" };
  return knownKeys(chain, provenTime(chain, clock, { at: builtAt, by: "the build of its ramdisk" }));
}

export function encodeKeyListFile(builtAt: EpochMs, lists: readonly SignedKeyList[]): string {
  const content: Content = { builtAt, lists: [...lists] };
  return JSON.stringify(content);
}
