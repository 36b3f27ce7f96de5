import { afterAll, beforeAll, expect, test } from "vitest";
import { ROLES } from "../../src/store/ports.ts";
import { startTestHub, type TestHub } from "./hub.ts";

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub[Symbol.asyncDispose]());

/** Route → the least role that may call it, written down a second time on purpose. */
const LEAST: Record<string, string> = {
  "GET /api/v1/sites": "viewer",
  "GET /api/v1/sites/{site}": "viewer",
  "PATCH /api/v1/sites/{site}": "admin",
  "POST /api/v1/sites": "admin",
  "POST /api/v1/sites/join": "open",
  "GET /api/v1/ca.pem": "open",
  "GET /api/v1/machines": "viewer",
  "GET /api/v1/machines/{machine}": "viewer",
  "POST /api/v1/machines": "operator",
  "PATCH /api/v1/machines/{machine}": "operator",
  "DELETE /api/v1/machines/{machine}": "operator",
  "POST /api/v1/machines/{machine}/install": "operator",
  "POST /api/v1/machines/{machine}/cancel-install": "operator",
  "GET /api/v1/images": "viewer",
  "GET /api/v1/images/{image}": "viewer",
  "POST /api/v1/images": "ci",
  "DELETE /api/v1/images/{image}": "operator",
  "GET /api/v1/image-tags": "viewer",
  "GET /api/v1/image-tags/{tag}": "viewer",
  "GET /api/v1/image-tags/{tag}/history": "viewer",
  "POST /api/v1/image-tags": "ci",
  "DELETE /api/v1/image-tags/{tag}": "operator",
  "GET /api/v1/images/{image}/diff/{other}": "viewer",
  "POST /api/v1/images/prune": "operator",
  "GET /api/v1/images/scrub": "viewer",
  "POST /api/v1/images/scrub": "operator",
  "POST /api/v1/image-uploads": "ci",
  "POST /api/v1/image-uploads/{image}/chunks/{chunk}": "ci",
  "POST /api/v1/image-uploads/{image}/complete": "ci",
  "POST /api/v1/rollouts/plan": "viewer",
  "POST /api/v1/rollouts": "operator",
  "GET /api/v1/rollouts": "viewer",
  "GET /api/v1/rollouts/{rollout}": "viewer",
  "POST /api/v1/rollouts/{rollout}/pause": "operator",
  "POST /api/v1/rollouts/{rollout}/resume": "operator",
  "POST /api/v1/rollouts/{rollout}/rollback": "operator",
  "GET /api/v1/image-keys": "viewer",
  "POST /api/v1/image-keys": "admin",
  "GET /api/v1/image-key-lists": "viewer",
  "POST /api/v1/image-key-lists": "admin",
  "GET /api/v1/release-floors": "viewer",
  "POST /api/v1/release-floors/{name}/lower": "admin",
  "GET /api/v1/tokens": "admin",
  "POST /api/v1/tokens": "admin",
  "DELETE /api/v1/tokens/{token}": "admin",
  "GET /api/v1/events": "viewer",
  "GET /api/v1/status": "viewer",
  "GET /api/v1/boots/{mac}": "viewer",
  "GET /api/v1/leases": "viewer",
  "GET /api/v1/leases/history": "viewer",
  "DELETE /api/v1/leases/{address}": "operator",
  "GET /api/v1/subnets": "viewer",
  "GET /api/v1/reservations": "viewer",
  "GET /healthz": "open",
  "GET /readyz": "open",
  "GET /api/v1/session": "viewer",
  "POST /api/v1/session": "open",
  "DELETE /api/v1/session": "open",
};

test("the OpenAPI document lists these routes and no other, each with its role", async () => {
  const { body } = await hub.call("GET", "/api/v1/openapi.json", { as: null });
  expect(body).toMatchObject({ openapi: "3.1.0", info: { title: "drp" } });
  const documented = Object.entries<Record<string, { description: string }>>(body.paths ?? {}).flatMap(
    ([path, methods]) =>
      Object.entries(methods).map(([method, { description }]) => [
        `${method.toUpperCase()} ${path}`,
        description === "Open to anyone." ? "open" : /role (\w+)/.exec(description)?.[1],
      ]),
  );
  expect(Object.fromEntries(documented)).toEqual(LEAST);
});

test.each(Object.entries(LEAST))("%s asks for at least %s", async (route, least) => {
  const [method = "", template = ""] = route.split(" ");
  const path = template.replaceAll(/\{\w+\}/g, "absent");
  if (least === "open") {
    expect((await hub.call(method, path, { as: null })).body).not.toMatchObject({ code: "auth.missing" });
    return;
  }
  expect(await hub.call(method, path, { as: null })).toMatchObject({
    status: 401,
    body: { code: "auth.missing" },
  });
  for (const role of ROLES) {
    const { body } = await hub.call(method, path, { as: role });
    const forbidden = ROLES.indexOf(role) > (ROLES as readonly string[]).indexOf(least);
    if (forbidden) expect(body, role).toMatchObject({ status: 403, code: "auth.forbidden" });
    else expect(body, role).not.toMatchObject({ code: "auth.forbidden" });
  }
});

test("a token works until it is ended or its time is over, and its secret is nowhere in the store", async () => {
  const { body } = await hub.call("POST", "/api/v1/tokens", {
    body: { name: "ci-1", role: "ci", expiresInDays: 1 },
  });
  const headers = { authorization: `Bearer ${body.secret}` };
  const use = () => hub.call("GET", "/api/v1/session", { as: null, headers });
  expect(await use()).toMatchObject({ status: 200, body: { name: "ci-1", role: "ci" } });
  expect(
    JSON.stringify([
      await hub.store.listTokens(),
      await hub.store.listEvents({ limit: 100, from: "newest" }),
    ]),
  ).not.toContain(body.secret);
  hub.advance(86_400_000);
  expect((await use()).body).toMatchObject({
    status: 401,
    code: "auth.rejected",
    detail: "this token has expired",
  });
  hub.advance(-86_400_000);
  expect((await use()).status).toBe(200);
  expect((await hub.call("DELETE", "/api/v1/tokens/ci-1")).status).toBe(204);
  expect((await use()).body).toMatchObject({ code: "auth.rejected" });
});

test("the dashboard signs in to a cookie that scripts cannot read, and a change by it needs its header", async () => {
  const signedIn = await hub.call("POST", "/api/v1/session", { as: null, body: { token: "drp_operator" } });
  const cookie = String(signedIn.headers["set-cookie"]);
  for (const attribute of ["HttpOnly", "Secure", "SameSite=Strict", "Path=/"])
    expect(cookie).toContain(attribute);
  const headers = { cookie: cookie.split(";")[0] };
  expect((await hub.call("GET", "/api/v1/session", { as: null, headers })).body).toEqual({
    name: "operator",
    role: "operator",
  });
  const body = { name: "by-cookie", macs: ["52:54:00:cc:00:01"] };
  const path = "/api/v1/machines";
  expect((await hub.call("POST", path, { as: null, headers, body })).body).toMatchObject({
    code: "auth.forbidden",
  });
  const withHeader = { ...headers, "x-requested-with": "drp" };
  expect((await hub.call("POST", path, { as: null, headers: withHeader, body })).status).toBe(201);
  const signedOut = await hub.call("DELETE", "/api/v1/session", { as: null, headers });
  expect(String(signedOut.headers["set-cookie"])).toContain("Max-Age=0");
});

test("failed sign-ins from one address are limited, then allowed again", async () => {
  await using fresh = await startTestHub();
  const guess = (secret: string) =>
    fresh.call("GET", "/api/v1/sites", { as: null, headers: { authorization: `Bearer ${secret}` } });
  for (let count = 0; count < 20; count++) expect((await guess(`wrong-${count}`)).status).toBe(401);
  const limited = await guess("drp_admin");
  expect(limited).toMatchObject({ status: 429, body: { code: "auth.limited" } });
  expect(limited.headers["retry-after"]).toBe("60");
  fresh.advance(60_000);
  expect((await guess("drp_admin")).status).toBe(200);
});

test("the dashboard's page comes without a token, with headers that let it load nothing from elsewhere", async () => {
  const page = await hub.call("GET", "/", { as: null });
  expect(page.status).toBe(200);
  expect(page.headers["content-type"]).toContain("text/html");
  expect(page.headers["content-security-policy"]).toContain("default-src 'self'");
  expect(page.headers["content-security-policy"]).not.toContain("unsafe");
  expect((await hub.call("GET", "/../package.json", { as: null })).status).toBe(404);
});
