import { expect, test } from "vitest";
import { signatureCounts } from "../../../src/agent/site/signature-counts.ts";
import { signManifest } from "../../../src/images/signature.ts";
import { makeKey } from "../../images/bundles.ts";
import { firstKeyList, signedKeyList } from "../../images/key-lists.ts";

const [old, next] = [makeKey(), makeKey()];
const lists = [...firstKeyList(old), signedKeyList(2, [next], old)];
const counts = (key: typeof old, of = lists) => signatureCounts(signManifest("{}", key.privateKeyPem), of, 0);

test("signatureCounts() for keys of the newest list, and not for one that was rotated out or never listed", () => {
  expect(counts(next)).toBe(true);
  expect(counts(old)).toBe(false);
  expect(counts(makeKey())).toBe(false);
});

test("signatureCounts() finds nothing newer to ask for where nobody is trusted yet", () => {
  expect(counts(old, [])).toBe(true);
});
