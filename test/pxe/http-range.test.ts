import { describe, expect, it } from "vitest";
import { parseRange } from "../../src/pxe/http-range.ts";

describe("parseRange()", () => {
  // RFC 9110 §14.1.2 and §14.2, for a file of 100 bytes.
  it.each([
    [undefined, { kind: "whole" }],
    ["bytes=0-9", { kind: "part", first: 0, last: 9 }],
    ["bytes=90-", { kind: "part", first: 90, last: 99 }],
    ["bytes=-10", { kind: "part", first: 90, last: 99 }],
    ["bytes=-1000", { kind: "part", first: 0, last: 99 }],
    ["bytes=50-1000", { kind: "part", first: 50, last: 99 }],
    ["bytes=100-", { kind: "unsatisfiable" }],
    ["bytes=-0", { kind: "unsatisfiable" }],
    ["bytes=9-0", { kind: "whole" }],
    ["bytes=-", { kind: "whole" }],
    ["bytes=0-1,5-6", { kind: "whole" }],
    ["lines=0-1", { kind: "whole" }],
  ])("reads %s", (header, expected) => {
    expect(parseRange(header, 100)).toEqual(expected);
  });

  it("finds no range in an empty file", () => {
    expect(parseRange("bytes=0-", 0)).toEqual({ kind: "unsatisfiable" });
  });
});
