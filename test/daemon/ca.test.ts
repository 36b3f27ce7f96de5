import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createServer } from "node:tls";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createSiteKey } from "../../src/agent/site/io/join-fleet.ts";
import { openCertificateAuthority } from "../../src/daemon/io/ca.ts";

const DAY_MS = 86_400_000;
const NAMES = ["localhost", "127.0.0.1", "::1", "hub.example.com"];
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "drp-ca-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const open = (names = NAMES, now = Date.now()) => openCertificateAuthority(dir, names, now);

test.each(NAMES)("a client that trusts ca.pem connects to %s", async name => {
  const { caPem, serverTls } = await open();
  const server = createServer(serverTls, socket => socket.end("hello")).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const isAddress = /[:.]\d*\d$/.test(name);
  const client = connect({ port, host: "127.0.0.1", ca: caPem, ...(isAddress ? {} : { servername: name }) });
  await once(client, "secureConnect");
  expect(client.authorized).toBe(true);
  client.destroy();
  server.close();
});

test("keys are for the hub's user alone; the authority may be read", async () => {
  await open();
  const mode = (file: string) => statSync(join(dir, file)).mode & 0o777;
  expect(["ca.key", "server.key", "ca.pem"].map(mode)).toEqual([0o600, 0o600, 0o644]);
});

test("a second start keeps authority and certificate", async () => {
  const { caPem, serverTls } = await open();
  expect(await open()).toMatchObject({ caPem, serverTls });
});

test("the certificate is renewed by the same authority when a name is new, or when it ends within 60 days", async () => {
  const first = await open();
  const renamed = await open([...NAMES, "192.0.2.7"]);
  expect(renamed.caPem).toBe(first.caPem);
  expect(new X509Certificate(renamed.serverTls.cert).checkIP("192.0.2.7")).toBe("192.0.2.7");
  const kept = await open(NAMES, Date.now() + 300 * DAY_MS);
  expect(kept.serverTls).toEqual(renamed.serverTls);
  const later = await open(NAMES, Date.now() + 340 * DAY_MS);
  expect(later.caPem).toBe(first.caPem);
  expect(later.serverTls.cert).not.toBe(renamed.serverTls.cert);
});

test("the authority lives ten years and may sign, the server's certificate may not", async () => {
  const { caPem, serverTls } = await open();
  const ca = new X509Certificate(caPem);
  const server = new X509Certificate(serverTls.cert);
  expect([ca.ca, server.ca]).toEqual([true, false]);
  expect(server.checkIssued(ca)).toBe(true);
  expect((ca.validToDate.getTime() - Date.now()) / DAY_MS).toBeGreaterThan(3650);
});

test("an authority without its key is refused, and nothing is replaced", async () => {
  const { caPem } = await open();
  unlinkSync(join(dir, "ca.key"));
  await expect(open()).rejects.toMatchObject({
    code: "data.unwritable",
    advice: expect.stringContaining("backup"),
  });
  writeFileSync(join(dir, "ca.key"), "nonsense");
  await expect(open()).rejects.toMatchObject({ code: "data.unwritable" });
  expect(caPem).toContain("BEGIN CERTIFICATE");
});

const issue = async (names: string[], change = (pem: string) => pem) => {
  const ca = await open();
  const { certificateRequestPem } = await createSiteKey(names);
  return ca.issueSiteCertificate({
    certificateRequestPem: change(certificateRequestPem),
    siteId: "s-1",
    now: Date.now(),
  });
};

test("a site's certificate holds its addresses for a year, as a server and as a client, and signs nothing", async () => {
  const { certificatePem, keyFingerprint } = await issue(["10.9.0.1", "site.shop.example"]);
  const certificate = new X509Certificate(certificatePem);
  expect(certificate.checkIP("10.9.0.1")).toBe("10.9.0.1");
  expect(certificate.checkHost("site.shop.example")).toBe("site.shop.example");
  expect(certificate.ca).toBe(false);
  expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
  const lifeDays = (certificate.validToDate.getTime() - Date.now()) / DAY_MS;
  expect(lifeDays).toBeCloseTo(365, 0);
  expect(keyFingerprint).toMatch(/^[0-9a-f]{64}$/);
});

test.each([["hub.example.com"], ["HUB.example.com"], ["*.example.com"], ["127.0.0.1"], ["0:0:0:0:0:0:0:1"]])(
  "a site gets no certificate for %s, which is the hub's own name",
  async name => {
    await expect(issue(["10.9.0.1", name])).rejects.toMatchObject({
      code: "request.invalid",
      message: expect.stringContaining("the hub's own name"),
    });
  },
);

test("a request that is malformed, or names no address, is refused with the reason", async () => {
  await expect(issue(["10.9.0.1"], () => "nonsense")).rejects.toMatchObject({ code: "request.invalid" });
  await expect(issue([])).rejects.toMatchObject({
    code: "request.invalid",
    message: expect.stringContaining("no address"),
  });
});
