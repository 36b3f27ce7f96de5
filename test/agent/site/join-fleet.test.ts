import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { formatJoinToken, parseJoinToken } from "../../../src/agent/join-token.ts";
import { joinFleet } from "../../../src/agent/site/io/join-fleet.ts";
import { readMembership, writeMembership } from "../../../src/agent/site/io/site-membership.ts";
import { startTestHub, type TestHub } from "../../api/hub.ts";

let hub: TestHub;
let hubUrl: string;
let token: string;
beforeEach(async () => {
  hub = await startTestHub();
  hubUrl = `https://localhost:${hub.port}`;
  const created = await hub.call("POST", "/api/v1/sites", { body: { name: "shop-1" } });
  token = created.body.joinToken ?? "";
});
afterEach(() => hub[Symbol.asyncDispose]());

const NAMES = ["10.9.0.1"];
const joinWith = (text: string, url = hubUrl) => joinFleet({ token: text, hubUrl: url, names: NAMES });
const membershipAtHub = async () => (await hub.store.findSite("shop-1"))?.membership?.kind;

test("a site that joins has a certificate of the fleet for its own key, and keeps all of it", async () => {
  const joined = await joinWith(token);
  expect(joined).toMatchObject({ siteName: "shop-1", hubUrl: "https://localhost:8444", caPem: hub.caPem });
  const certificate = new X509Certificate(joined.tls.cert);
  expect(certificate.verify(new X509Certificate(hub.caPem).publicKey)).toBe(true);
  expect(certificate.checkIP("10.9.0.1")).toBe("10.9.0.1");
  expect(await membershipAtHub()).toBe("joined");

  const folder = mkdtempSync(join(tmpdir(), "drp-join-"));
  try {
    expect(readMembership(folder)).toBeUndefined();
    writeMembership(folder, joined);
    expect(readMembership(folder)).toEqual(joined);
    expect(statSync(join(folder, "site.key")).mode & 0o777).toBe(0o600);
    rmSync(join(folder, "site.crt"));
    expect(() => readMembership(folder)).toThrow(expect.objectContaining({ code: "input.unreadable" }));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a token that was used, or has expired, joins nobody", async () => {
  await joinWith(token);
  await expect(joinWith(token)).rejects.toMatchObject({ code: "token.rejected" });
  const late = await hub.call("POST", "/api/v1/sites", { body: { name: "shop-2", tokenExpiresInHours: 1 } });
  hub.advance(3_600_001);
  await expect(joinWith(late.body.joinToken ?? "")).rejects.toMatchObject({ code: "token.rejected" });
});

test("a token of another hub is seen before anything is sent", async () => {
  const { secret = "" } = parseJoinToken(token) ?? {};
  const forged = formatJoinToken({ caFingerprint: "0".repeat(64), secret });
  await expect(joinWith(forged)).rejects.toMatchObject({
    code: "auth.rejected",
    advice: expect.stringContaining("somebody stands between"),
  });
  expect(await membershipAtHub()).toBe("invited");
});

test("what is no token, no URL, or no hub is said so", async () => {
  await expect(joinWith("drp-join.nonsense")).rejects.toMatchObject({ code: "request.invalid" });
  await expect(joinWith(token, "hub:8092")).rejects.toMatchObject({ code: "request.invalid" });
  await expect(joinWith(token, "https://localhost:1")).rejects.toMatchObject({ code: "hub.unreachable" });
});
