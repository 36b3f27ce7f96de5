import "reflect-metadata";
import { createPublicKey, webcrypto, X509Certificate } from "node:crypto";
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from "@peculiar/x509";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseJoinToken } from "../../src/agent/join-token.ts";
import { keyFingerprint } from "../../src/agent/key-fingerprint.ts";
import { createdSiteSchema, joinedSiteSchema } from "../../src/api/wire.ts";
import { startTestHub, type TestHub } from "./hub.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const HOUR_MS = 3_600_000;

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub[Symbol.asyncDispose]());

async function certificateRequest(): Promise<string> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const request = await Pkcs10CertificateRequestGenerator.create(
    {
      name: "CN=site",
      keys,
      signingAlgorithm: ALGORITHM,
      extensions: [new SubjectAlternativeNameExtension([{ type: "ip", value: "10.70.1.1" }])],
    },
    webcrypto,
  );
  return request.toString("pem");
}

async function invite(name: string, other: object = {}) {
  const created = await hub.call("POST", "/api/v1/sites", { body: { name, ...other } });
  expect(created.status).toBe(201);
  return createdSiteSchema.parse(created.body);
}

async function join(joinToken: string, certificateRequestPem?: string) {
  const body = { joinToken, certificateRequestPem: certificateRequestPem ?? (await certificateRequest()) };
  return hub.call("POST", "/api/v1/sites/join", { as: null, body });
}

test("a site that is invited joins once: its certificate is of the authority that the token names", async () => {
  const { site, joinToken } = await invite("berlin", { labels: { region: "eu" } });
  expect(site).toMatchObject({ membership: "invited", labels: { region: "eu" }, lastSeenAt: null });
  const caPem = String((await hub.call("GET", "/api/v1/ca.pem", { as: null })).body.text);
  expect(keyFingerprint(createPublicKey(caPem))).toBe(parseJoinToken(joinToken)?.caFingerprint);

  const answer = await join(joinToken);
  expect(answer.status).toBe(201);
  const joined = joinedSiteSchema.parse(answer.body);
  expect(joined).toMatchObject({ siteId: site.id, siteName: "berlin", caPem, siteChannelPort: 8444 });
  const certificate = new X509Certificate(joined.certificatePem);
  expect(certificate.verify(createPublicKey(caPem))).toBe(true);
  expect(certificate.checkIP("10.70.1.1")).toBe("10.70.1.1");

  expect((await hub.call("GET", "/api/v1/sites/berlin")).body).toMatchObject({ membership: "joined" });
  expect(await hub.store.findSiteByKey(keyFingerprint(certificate.publicKey))).toMatchObject({ id: site.id });
  expect(await join(joinToken)).toMatchObject({
    status: 403,
    body: { code: "token.rejected", advice: expect.stringContaining("drp sites create") },
  });
  const events = await hub.store.listEvents({ siteId: site.id, limit: 9, from: "oldest" });
  expect(events.map(({ kind }) => kind)).toEqual(["site.invited", "site.joined"]);
  expect(JSON.stringify(events)).not.toContain(parseJoinToken(joinToken)?.secret);
});

test("a token that has expired is refused, and a new invitation ends the old token", async () => {
  const first = await invite("paris", { tokenExpiresInHours: 1 });
  hub.advance(HOUR_MS);
  expect(await join(first.joinToken)).toMatchObject({
    status: 403,
    body: { code: "token.rejected", advice: "Ask an admin for a new one: drp sites create paris" },
  });
  const second = await invite("paris");
  expect(second.site.id).toBe(first.site.id);
  expect((await join(first.joinToken)).status).toBe(403);
  expect((await join(second.joinToken)).status).toBe(201);
});

test("of two that join with one token at once, one gets the site", async () => {
  const { joinToken } = await invite("rome");
  const statuses = (await Promise.all([join(joinToken), join(joinToken)])).map(({ status }) => status);
  expect(statuses.toSorted()).toEqual([201, 403]);
});

test("a site at work, and the hub's own, are not invited again", async () => {
  const { site, joinToken } = await invite("oslo");
  await join(joinToken);
  const record = await hub.store.findSite(site.id);
  if (record === undefined) throw new Error("the site is gone");
  const seen = { ...record, lastSeenAt: 1, revision: record.revision + 1 };
  await hub.store.commit([{ kind: "update-site", site: seen, expectedRevision: record.revision }]);
  for (const name of ["oslo", "local"]) {
    expect(await hub.call("POST", "/api/v1/sites", { body: { name } })).toMatchObject({
      status: 409,
      body: { code: "name.taken" },
    });
  }
  expect((await hub.call("POST", "/api/v1/sites", { as: "operator", body: { name: "x" } })).status).toBe(403);
});

test("a certificate request that cannot be read is refused and does not spend the token", async () => {
  const { joinToken } = await invite("riga");
  expect(await join(joinToken, "nonsense")).toMatchObject({ status: 400, body: { code: "request.invalid" } });
  expect((await join(joinToken)).status).toBe(201);
});

test("guessing join tokens is slowed down as guessing tokens is", async () => {
  const pem = await certificateRequest();
  const guess = () => join(`drp-join.${"0".repeat(64)}.${"x".repeat(43)}`, pem);
  let last = await guess();
  for (let count = 0; count < 20 && last.status === 403; count++) last = await guess();
  expect(last).toMatchObject({ status: 429, body: { code: "auth.limited" } });
  expect(Number(last.headers["retry-after"])).toBeGreaterThan(0);
});
