import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { STATUS_OF, toProblem } from "../../src/api/problem.ts";
import { DrpError } from "../../src/core/errors.ts";

test("docs/errors.md explains every code and no other, with its HTTP status", () => {
  const page = readFileSync("docs/errors.md", "utf8");
  const documented = [...page.matchAll(/^\| `([^`]+)` \| (\d+) \|/gm)].map(([, code, status]) => [
    code,
    Number(status),
  ]);
  expect(documented).toEqual(Object.entries(STATUS_OF).toSorted(([a], [b]) => (a < b ? -1 : 1)));
});

test("a problem holds code, detail and advice; a fault of ours keeps its words to itself", () => {
  expect(toProblem(new DrpError("name.taken", "a is taken", { advice: "Choose b." }))).toEqual({
    type: "about:blank",
    title: "Conflict",
    status: 409,
    code: "name.taken",
    detail: "a is taken",
    advice: "Choose b.",
  });
  expect(JSON.stringify(toProblem(new Error("secret words")))).not.toContain("secret");
});
