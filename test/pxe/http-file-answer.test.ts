import { describe, expect, it } from "vitest";
import { decideFileAnswer } from "../../src/pxe/http-file-answer.ts";

const TAG = '"64-1a"';
const WHOLE = { kind: "whole" };
const FIRST_TEN = { kind: "part", first: 0, last: 9 };
const KNOWN = { kind: "not-modified" };
const OTHER_VERSION = { kind: "precondition-failed" };

describe("decideFileAnswer() for a file of 100 bytes", () => {
  it.each([
    ["GET", {}, WHOLE],
    ["HEAD", {}, WHOLE],
    ["GET", { range: "bytes=0-9" }, FIRST_TEN],
    // RFC 9110 §14.2: a range is defined for GET; a HEAD tells the whole length, as EDK2 needs it
    ["HEAD", { range: "bytes=0-9" }, WHOLE],
    ["GET", { range: "bytes=100-" }, { kind: "unsatisfiable" }],
    ["GET", { range: "bytes=0-1,90-99" }, WHOLE],
    // §13.1.2: a list, "*", and weak comparison
    ["GET", { "if-none-match": TAG }, KNOWN],
    ["HEAD", { "if-none-match": `"other", W/${TAG}` }, KNOWN],
    ["GET", { "if-none-match": "*" }, KNOWN],
    ["GET", { "if-none-match": '"other"' }, WHOLE],
    ["GET", { "if-none-match": TAG, range: "bytes=0-9" }, KNOWN],
    // §13.1.1: strong comparison, and before everything else (§13.2.2)
    ["GET", { "if-match": TAG }, WHOLE],
    ["GET", { "if-match": `W/${TAG}` }, OTHER_VERSION],
    ["GET", { "if-match": '"other"', "if-none-match": TAG }, OTHER_VERSION],
    ["GET", { "if-match": "*", range: "bytes=0-9" }, FIRST_TEN],
    // §13.1.5: only the very same version is continued
    ["GET", { range: "bytes=0-9", "if-range": TAG }, FIRST_TEN],
    ["GET", { range: "bytes=0-9", "if-range": '"other"' }, WHOLE],
    ["GET", { range: "bytes=0-9", "if-range": `W/${TAG}` }, WHOLE],
    ["GET", { range: "bytes=0-9", "if-range": "Sat, 21 Nov 2026 12:00:00 GMT" }, WHOLE],
    ["GET", { range: "bytes=100-", "if-range": '"other"' }, WHOLE],
    // no Last-Modified is sent, so no condition on a date is ours to judge
    ["GET", { "if-modified-since": "Sat, 21 Nov 2026 12:00:00 GMT" }, WHOLE],
  ] as const)("%s with %j", (method, headers, expected) => {
    expect(decideFileAnswer({ method, headers }, 100, TAG)).toEqual(expected);
  });
});
