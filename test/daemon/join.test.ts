/** A site's way into the fleet, through the doors of a real hub. */
import "reflect-metadata";
import { createPrivateKey, webcrypto } from "node:crypto";
import { once } from "node:events";
import { request } from "node:https";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from "@peculiar/x509";
import { afterEach, beforeEach, expect, test } from "vitest";
import { syncAnswerSchema } from "../../src/agent/site-protocol.ts";
import { createdSiteSchema, joinedSiteSchema } from "../../src/api/wire.ts";
import { callApi, freePorts, Hubs, untilReady } from "./helpers/hubs.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

let hubs: Hubs;
beforeEach(() => {
  hubs = new Hubs();
});
afterEach(() => hubs[Symbol.asyncDispose]());

async function siteKey() {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const certificateRequest = await Pkcs10CertificateRequestGenerator.create(
    {
      name: "CN=site",
      keys,
      signingAlgorithm: ALGORITHM,
      extensions: [new SubjectAlternativeNameExtension([{ type: "ip", value: "10.70.1.1" }])],
    },
    webcrypto,
  );
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  return {
    keyPem: key.export({ format: "pem", type: "pkcs8" }).toString(),
    certificateRequestPem: certificateRequest.toString("pem"),
  };
}

async function sync(port: number, tls: { ca: string; cert: string; key: string }) {
  const sent = request({ ...tls, host: "localhost", port, method: "POST", path: "/site/v1/sync" });
  const answered = once(sent, "response");
  sent.end(JSON.stringify({ protocolVersion: 1, reports: [], knownViewRevision: 0 }));
  const [response] = await answered;
  return syncAnswerSchema.parse(await json(response));
}

test("a site that joins is served at the site channel at once, and by the same hub after kill -9", async () => {
  const data = join(hubs.folder, "data");
  const first = await freePorts();
  const hub = hubs.start("--data", data, ...first.flags);
  await untilReady(hub);
  expect(await callApi(first.api, "GET", "/api/v1/status", data)).toMatchObject({
    services: expect.arrayContaining([
      { name: "site-channel", state: "on", detail: expect.stringContaining(String(first.siteChannel)) },
    ]),
  });
  const invited = await callApi(first.api, "POST", "/api/v1/sites", data, { name: "berlin" });
  const { joinToken } = createdSiteSchema.parse(invited);
  const { keyPem, certificateRequestPem } = await siteKey();
  const answer = await callApi(first.api, "POST", "/api/v1/sites/join", data, {
    joinToken,
    certificateRequestPem,
  });
  const joined = joinedSiteSchema.parse(answer);
  expect(joined.siteChannelPort).toBe(first.siteChannel);
  const tls = { ca: joined.caPem, cert: joined.certificatePem, key: keyPem };
  expect(await sync(first.siteChannel, tls)).toMatchObject({ keptSeq: 0, view: { siteName: "berlin" } });

  hub.child.kill("SIGKILL");
  await hub.exited;
  const second = await freePorts();
  await untilReady(hubs.start("--data", data, ...second.flags));
  expect(await sync(second.siteChannel, tls)).toMatchObject({ view: { siteId: joined.siteId } });
  expect(await callApi(second.api, "GET", "/api/v1/sites/berlin", data)).toMatchObject({
    membership: "joined",
    lastSeenAt: expect.any(Number),
  });
});
