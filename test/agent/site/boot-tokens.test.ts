import { expect, test } from "vitest";
import { BootTokens } from "../../../src/agent/site/boot-tokens.ts";
import type { MacAddress } from "../../../src/core/mac.ts";
import { MAC } from "../../helpers/machines.ts";

const MINUTE_MS = 60_000;
const OTHER_MAC = "52:54:00:00:00:02" as MacAddress;

/** Counts up, so that every token differs. */
function tokens() {
  let next = 0;
  return new BootTokens(count => Uint8Array.from({ length: count }, () => next++ & 255));
}

test("a boot token works once, for one key, and says so when that key repeats itself", () => {
  const book = tokens();
  const secret = book.mint(MAC, "i-1", 0);
  expect(book.redeem(secret, MAC, "key-1", 1)).toEqual({ kind: "redeemed", intentId: "i-1" });
  expect(book.redeem(secret, MAC, "key-1", 2)).toEqual({ kind: "repeated", intentId: "i-1" });
  expect(book.redeem(secret, MAC, "key-2", 3)).toEqual({ kind: "replayed" });
});

test("a boot token is bound to its MAC address", () => {
  const book = tokens();
  const secret = book.mint(MAC, null, 0);
  book.mint(OTHER_MAC, null, 0);
  expect(book.redeem(secret, OTHER_MAC, "key-1", 1).kind).toBe("refused");
});

test("a boot token expires after ten minutes", () => {
  const book = tokens();
  const secret = book.mint(MAC, null, 0);
  expect(book.redeem(secret, MAC, "key-1", 10 * MINUTE_MS)).toMatchObject({
    kind: "refused",
    reason: "this boot token has expired",
  });
});

test("a newer boot script ends the token of the one before", () => {
  const book = tokens();
  const old = book.mint(MAC, null, 0);
  book.mint(MAC, null, 1);
  expect(book.redeem(old, MAC, "key-1", 2).kind).toBe("refused");
});

test("a stranger who asks for scripts of ever new addresses pushes out the oldest tokens, not memory", () => {
  const book = tokens();
  const secret = book.mint(MAC, null, 0);
  for (let n = 0; n < 5000; n++) {
    book.mint(
      `02:00:00:00:${(n >> 8).toString(16).padStart(2, "0")}:${(n & 255).toString(16).padStart(2, "0")}` as MacAddress,
      null,
      1,
    );
  }
  expect(book.redeem(secret, MAC, "key-1", 2).kind).toBe("refused");
});
