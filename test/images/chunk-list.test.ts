import fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { chunkDigestSchema, chunkListSchema } from "../../src/images/chunk-list.ts";

const MAX_CHUNKS = 4;
const oneByOne = z.array(chunkDigestSchema.nullable()).min(1).max(MAX_CHUNKS);
const DIGEST = "0123456789abcdef".repeat(4);

/** What each says of a field of that name, word by word. */
function saidOf(list: unknown) {
  return [oneByOne, chunkListSchema(MAX_CHUNKS)].map(schema => {
    const parsed = z.strictObject({ chunks: schema }).safeParse(list === undefined ? {} : { chunks: list });
    return parsed.success ? parsed.data : parsed.error.issues.map(({ path, message }) => ({ path, message }));
  });
}

test.each([
  [[DIGEST, null, DIGEST]],
  [undefined],
  [null],
  [{ length: 1, 0: null }],
  [[]],
  [Array(MAX_CHUNKS + 1).fill(null)],
  [[undefined]],
  [[DIGEST.toUpperCase()]],
  [[DIGEST.slice(1)]],
  [[`${DIGEST.slice(1)}\u0130`]],
  [[`${DIGEST.slice(2)}\n0`, 1]],
  [[DIGEST.slice(1), `${DIGEST}0`]],
])("a list of chunks is judged as zod judges its elements: %j", list => {
  const [expected, said] = saidOf(list);
  expect(said).toEqual(expected);
});

test("a list of chunks is judged as zod judges its elements, whatever it holds", () => {
  const digest = fc.stringMatching(/^[0-9a-f]{64}$/);
  const hurt = fc.tuple(digest, fc.nat(63), fc.string({ unit: "binary", minLength: 1, maxLength: 1 }));
  const element = fc.oneof(
    digest,
    fc.constant(null),
    hurt.map(([text, at, other]) => text.slice(0, at) + other + text.slice(at + 1)),
    fc.jsonValue(),
  );
  fc.assert(
    fc.property(fc.array(element, { maxLength: MAX_CHUNKS + 1 }), list => {
      const [expected, said] = saidOf(list);
      expect(said).toEqual(expected);
    }),
  );
});
