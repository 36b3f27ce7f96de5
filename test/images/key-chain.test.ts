import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalText } from "../../src/images/canonical.ts";
import { decideKeyLists, knownKeys, parseKeyChain, provenTime } from "../../src/images/key-chain.ts";
import {
  type KeyList,
  type ListedKey,
  parseKeyList,
  type SignedKeyList,
  signKeyList,
  unsignedKeyList,
} from "../../src/images/key-list.ts";
import { nextKeyList } from "../../src/images/next-key-list.ts";
import { signManifest, verifyManifest } from "../../src/images/signature.ts";
import { makeKey, manifestOf, smallImage, type TestKey } from "./bundles.ts";

const keys = { ci: makeKey(), ops: makeKey(), next: makeKey(), foreign: makeKey() };
const T0 = Date.parse("2026-01-01T00:00:00.000Z");
const DAY = 86_400_000;

function listed(name: keyof typeof keys, expiresAt: string | null = null): ListedKey {
  const { keyId, publicKeyPem } = keys[name];
  return { keyId, name, publicKeyPem, expiresAt };
}

function list(version: number, members: readonly ListedKey[], at = T0 + version * DAY): KeyList {
  return { formatVersion: 1, version, createdAt: new Date(at).toISOString(), keys: [...members] };
}

const v1 = unsignedKeyList(list(1, [listed("ci")]));
const v2 = signKeyList(list(2, [listed("ci"), listed("ops")]), keys.ci.privateKeyPem);
const v3 = signKeyList(list(3, [listed("ops"), listed("next")]), keys.ops.privateKeyPem);
const clock = (at: number) => ({ at, by: "this machine's clock" });

function reasonOf(known: readonly SignedKeyList[], offered: readonly SignedKeyList[]): string {
  const decision = decideKeyLists(parseKeyChain(known), offered);
  return decision.kind === "refused" ? decision.reason : decision.kind;
}

describe("decideKeyLists()", () => {
  test("follows a chain whose every list is signed by the one before, over several lists at once", () => {
    const decision = decideKeyLists(parseKeyChain([v1]), [v1, v2, v3]);
    expect(decision).toMatchObject({ kind: "accepted" });
    expect(decision.kind === "accepted" && decision.chain.map(kept => kept.list.version)).toEqual([1, 2, 3]);
    expect(reasonOf([v1, v2], [v3])).toBe("accepted");
    expect(reasonOf([v1, v2, v3], [v1, v2, v3])).toBe("unchanged");
  });

  test("believes a first list as it comes, and none at all where there is none", () => {
    expect(reasonOf([], [v1])).toBe("accepted");
    expect(reasonOf([], [])).toBe("unchanged");
  });

  test("refuses a list that the old one did not sign", () => {
    const bad = signKeyList(list(2, [listed("foreign")]), keys.foreign.privateKeyPem);
    expect(reasonOf([v1], [v1, bad])).toBe(
      `key list 2 is signed by key ${keys.foreign.keyId.slice(0, 16)}, which list 1 does not have: the old list signs the new`,
    );
    expect(reasonOf([v1], [unsignedKeyList(list(2, [listed("foreign")]))])).toBe(
      "key list 2 is not signed: only a first list needs no signature",
    );
  });

  test("refuses a list under a signature of another text", () => {
    expect(
      reasonOf([v1], [{ listText: canonicalText(list(2, [listed("foreign")])), signature: v2.signature }]),
    ).toBe("key list 2 is not what key ci signed");
  });

  test("refuses a chain with a list missing", () => {
    expect(reasonOf([v1], [v1, v3])).toBe("key list 3 cannot follow list 1: list 2 is missing");
  });

  test("refuses a chain that ends before the known one", () => {
    expect(reasonOf([v1, v2, v3], [v1, v2])).toBe(
      "the newest key list that was given is 2, and list 3 is known: what was rotated out does not come back",
    );
    expect(reasonOf([v1], [])).toContain("the newest key list that was given is 0, and list 1 is known");
  });

  test("refuses another chain with the same numbers", () => {
    expect(reasonOf([v1], [unsignedKeyList(list(1, [listed("foreign")]))])).toBe(
      "key list 1 is another one than the list 1 that is known here",
    );
  });

  test("refuses a list by a key that had expired when it was made", () => {
    const first = unsignedKeyList(list(1, [listed("ci", "2026-01-02T12:00:00.000Z"), listed("ops")]));
    const late = signKeyList(list(2, [listed("ops")], T0 + 5 * DAY), keys.ci.privateKeyPem);
    expect(reasonOf([first], [late])).toBe(
      "key list 2 was made at 2026-01-06T00:00:00.000Z and is signed by key ci, which expired at 2026-01-02T12:00:00.000Z",
    );
    const inTime = signKeyList(list(2, [listed("ops")], T0 + 1.2 * DAY), keys.ci.privateKeyPem);
    expect(reasonOf([first], [inTime])).toBe("accepted");
  });

  test("refuses a list that says it is older than the one before", () => {
    const early = signKeyList(list(2, [listed("ops")], T0), keys.ci.privateKeyPem);
    expect(reasonOf([v1], [early])).toBe(
      "key list 2 says that it was made at 2026-01-01T00:00:00.000Z, before list 1 of 2026-01-02T00:00:00.000Z",
    );
  });

  test("refuses a list that would trust nobody", () => {
    expect(reasonOf([v1], [signKeyList(list(2, []), keys.ci.privateKeyPem)])).toBe(
      "key list 2 would trust nobody: it has no key",
    );
    const expired = list(2, [listed("ci", "2026-01-02T00:00:00.000Z")], T0 + 9 * DAY);
    expect(reasonOf([v1], [signKeyList(expired, keys.ci.privateKeyPem)])).toBe(
      "key list 2 would trust nobody: each of its keys has expired when it is made",
    );
  });

  test("takes no list of which one character was changed, and no cut one", () => {
    const text = v2.listText;
    const at = fc.integer({ min: 0, max: text.length - 1 });
    const letter = fc.constantFrom(...'0aZ"}]{, ');
    fc.assert(
      fc.property(at, letter, (index, char) => {
        const listText = text.slice(0, index) + char + text.slice(index + 1);
        const changed = decideKeyLists(parseKeyChain([v1]), [{ ...v2, listText }]);
        expect(changed.kind).toBe(listText === text ? "accepted" : "refused");
        expect(decideKeyLists(parseKeyChain([v1]), [{ ...v2, listText: text.slice(0, index) }]).kind).toBe(
          "refused",
        );
      }),
    );
  });

  test("an image's signature is no list's, though one key makes both", () => {
    const manifestText = canonicalText(manifestOf(smallImage()));
    const signature = signManifest(manifestText, keys.ci.privateKeyPem);
    expect(decideKeyLists(parseKeyChain([v1]), [{ listText: manifestText, signature }]).kind).toBe("refused");
  });
});

describe("parseKeyList()", () => {
  const refused = (changes: Partial<KeyList>) => () =>
    parseKeyList(canonicalText({ ...list(1, [listed("ci")]), ...changes }));

  test("names what is wrong", () => {
    expect(refused({ keys: [listed("ci"), listed("ci")] })).toThrow(`key list 1 has ${keys.ci.keyId} twice`);
    expect(refused({ keys: [listed("ci"), { ...listed("ops"), name: "ci" }] })).toThrow(
      "key list 1 has ci twice",
    );
    expect(refused({ keys: [{ ...listed("ci"), keyId: keys.ops.keyId }] })).toThrow(
      "key list 1: the key id of ci is not that of its key",
    );
    expect(refused({ version: 0 })).toThrow("the key list's version");
    expect(() => parseKeyList(JSON.stringify(list(1, [listed("ci")]), null, 1))).toThrow(
      "key list 1 is not canonical JSON (RFC 8785)",
    );
  });
});

describe("knownKeys()", () => {
  const manifestText = canonicalText(manifestOf(smallImage()));
  const messageOf = (key: TestKey, at: number, chain = parseKeyChain([v1, v2, v3])): string => {
    const signed = { manifestText, signature: signManifest(manifestText, key.privateKeyPem) };
    try {
      verifyManifest(signed, knownKeys(chain, provenTime(chain, clock(at))));
      return "believed";
    } catch (error) {
      return (error as Error).message;
    }
  };

  test("a key of the newest list counts, one that was rotated out does not, and one that nobody listed is unknown", () => {
    expect(messageOf(keys.next, T0)).toBe("believed");
    expect(messageOf(keys.ci, T0)).toBe(
      `the manifest is signed by key ci (${keys.ci.keyId.slice(0, 16)}), which was rotated out by key list 3 at 2026-01-04T00:00:00.000Z`,
    );
    expect(messageOf(keys.foreign, T0)).toBe(
      `the manifest is signed by key ${keys.foreign.keyId}, which is not trusted`,
    );
  });

  test("an expired key counts no more, by the clock that says so", () => {
    const chain = parseKeyChain([unsignedKeyList(list(1, [listed("ci", "2026-02-01T00:00:00.000Z")]))]);
    expect(messageOf(keys.ci, T0, chain)).toBe("believed");
    expect(messageOf(keys.ci, Date.parse("2026-02-01T00:00:00.000Z"), chain)).toBe(
      `the manifest is signed by key ci (${keys.ci.keyId.slice(0, 16)}), which expired at 2026-02-01T00:00:00.000Z; by this machine's clock it is 2026-02-01T00:00:00.000Z`,
    );
  });

  test("a clock that stands in 1970 does not revive a key that had expired when the newest list was made", () => {
    const second = signKeyList(
      list(
        2,
        [listed("ci", "2026-02-01T00:00:00.000Z"), listed("ops")],
        Date.parse("2026-03-01T00:00:00.000Z"),
      ),
      keys.ops.privateKeyPem,
    );
    const first = unsignedKeyList(list(1, [listed("ci", "2026-02-01T00:00:00.000Z"), listed("ops")]));
    expect(messageOf(keys.ci, 0, parseKeyChain([first, second]))).toContain(
      "which expired at 2026-02-01T00:00:00.000Z; by key list 2 it is 2026-03-01T00:00:00.000Z",
    );
  });

  test("a signature that only claims a rotated-out key is called wrong, not rotated out", () => {
    const chain = parseKeyChain([v1, v2, v3]);
    const signature = { ...signManifest(manifestText, keys.foreign.privateKeyPem), keyId: keys.ci.keyId };
    expect(() => verifyManifest({ manifestText, signature }, knownKeys(chain, clock(T0)))).toThrow(
      `the manifest is not what key ${keys.ci.keyId} signed`,
    );
  });
});

describe("nextKeyList()", () => {
  const chain = parseKeyChain([v1, v2, v3]);
  const next = (add: readonly ListedKey[], retire: readonly string[], of = chain) =>
    nextKeyList(of, { add, retire, now: T0 + 9 * DAY });
  const reason = (...input: Parameters<typeof next>) => {
    const outcome = next(...input);
    return outcome.kind === "refused" ? outcome.reason : outcome.kind;
  };

  test("adds and retires in one step, and counts up", () => {
    const outcome = next([listed("foreign")], ["ops", keys.next.keyId.slice(0, 8)]);
    expect(outcome).toEqual({ kind: "next", list: list(4, [listed("foreign")], T0 + 9 * DAY) });
  });

  test("begins with list 1", () => {
    expect(next([listed("ci")], [], [])).toMatchObject({ kind: "next", list: { version: 1 } });
  });

  test("gives a listed key a new expiry", () => {
    expect(next([listed("ops", "2027-01-01T00:00:00Z")], [])).toMatchObject({
      list: { keys: [{ name: "ops", expiresAt: "2027-01-01T00:00:00Z" }, { name: "next" }] },
    });
  });

  test("refuses in words", () => {
    expect(reason([], ["ops", "next"])).toBe("the new list would trust nobody");
    expect(reason([listed("foreign", "2026-01-01T00:00:00Z")], ["ops", "next"])).toBe(
      "the new list would trust nobody",
    );
    expect(reason([], ["qa"])).toBe("no key of the list is qa; it has ops, next");
    expect(reason([listed("ci")], [])).toBe("key ci was rotated out by key list 3");
    expect(reason([{ ...listed("foreign"), name: "ops" }], [])).toBe("another key of the list is called ops");
  });
});
