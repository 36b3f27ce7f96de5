import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestHub, type TestHub } from "./hub.ts";

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub[Symbol.asyncDispose]());

describe("a request that is wrong", () => {
  const machines = "/api/v1/machines";
  const cases: [string, string, string, Parameters<TestHub["call"]>[2], number, string, string][] = [
    ["no JSON type", "POST", machines, { raw: "{}" }, 400, "request.invalid", "JSON body"],
    [
      "broken JSON",
      "POST",
      machines,
      { raw: "{", headers: { "content-type": "application/json" } },
      400,
      "request.invalid",
      "cannot be read",
    ],
    ["a missing field", "POST", machines, { body: { name: "a" } }, 400, "request.invalid", "body.macs"],
    [
      "a bad MAC address",
      "POST",
      machines,
      { body: { name: "a", macs: ["00:00:00:00:00:01", "zz"] } },
      400,
      "request.invalid",
      "body.macs[1]: zz",
    ],
    [
      "an unknown field",
      "POST",
      machines,
      { body: { name: "a", macs: ["00:00:00:00:00:01"], colour: "red" } },
      400,
      "request.invalid",
      "colour",
    ],
    [
      "an unknown site",
      "POST",
      machines,
      { body: { name: "a", macs: ["00:00:00:00:00:01"], site: "mars" } },
      404,
      "site.unknown",
      "mars",
    ],
    ["an unknown query", "GET", `${machines}?stat=healthy`, {}, 400, "request.invalid", "stat"],
    ["an unknown state", "GET", `${machines}?state=happy`, {}, 400, "request.invalid", "query.state"],
    ["a limit of nought", "GET", `${machines}?limit=0`, {}, 400, "request.invalid", "query.limit"],
    [
      "a bad ETag",
      "PATCH",
      `${machines}/x`,
      { body: {}, headers: { "if-match": "seven" } },
      400,
      "request.invalid",
      "If-Match",
    ],
    [
      "a body that is too large",
      "POST",
      machines,
      { body: { name: "x".repeat(1_100_000) } },
      413,
      "request.too-large",
      "1048576",
    ],
    ["no such route", "GET", "/api/v1/nothing", {}, 404, "not-found", "GET /api/v1/nothing"],
    ["a method that a route lacks", "DELETE", "/api/v1/events", {}, 404, "not-found", "DELETE"],
    ["a path that is no URL", "GET", `${machines}/%zz`, {}, 400, "request.invalid", "cannot be read"],
    [
      "a key that is none",
      "POST",
      "/api/v1/image-keys",
      { body: { name: "k", publicKeyPem: "nonsense" } },
      422,
      "key.invalid",
      "PEM",
    ],
    ["a bundle that is none", "POST", "/api/v1/images", { raw: "this is no tar" }, 422, "bundle.", ""],
  ];
  test.each(cases)(
    "with %s is refused, naming it",
    async (_name, method, path, options, status, code, detail) => {
      const answer = await hub.call(method, path, options);
      expect(answer.body).toMatchObject({
        status,
        code: expect.stringContaining(code),
        detail: expect.stringContaining(detail),
      });
      expect(answer.status).toBe(status);
      expect(answer.headers["content-type"]).toContain("application/problem+json");
      expect(JSON.stringify(answer.body)).not.toMatch(/node_modules|\.ts:/);
    },
  );
});

test("none of this was our own failure", () => {
  expect(hub.errors).toEqual([]);
});

test("a failure of the store is a 500 without its words, which the log gets", async () => {
  await using broken = await startTestHub();
  await broken.store.close();
  const answer = await broken.call("GET", "/readyz", { as: null });
  expect(answer).toMatchObject({ status: 500, body: { code: "internal" } });
  expect(broken.errors).toHaveLength(1);
});
