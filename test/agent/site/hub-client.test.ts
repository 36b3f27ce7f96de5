/** Against a hub that is slow, over TLS. */
import { mkdtempDisposable } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { HubClient } from "../../../src/agent/site/io/hub-client.ts";
import { type Fleet, openFleet } from "../../helpers/fleet.ts";

const SILENCE_MS = 1000;
const body = JSON.stringify({
  manifestText: "a".repeat(40),
  signature: { formatVersion: 1, keyId: "0".repeat(64), signature: `${"A".repeat(86)}==` },
});

let fleet: Fleet;
beforeAll(async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "drp-hub-client-"));
  fleet = await openFleet(folder.path);
});
const closing: (() => void)[] = [];
afterAll(() => {
  for (const close of closing) close();
});

async function hubThat(answers: (response: ServerResponse) => void): Promise<HubClient> {
  const server = createServer(fleet.hubTls, (_request, response) => answers(response));
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { caPem, site } = fleet;
  const hub = new HubClient({ url, caPem, tls: site.tls, silenceMs: SILENCE_MS });
  closing.push(() => {
    hub.close();
    server.closeAllConnections();
    server.close();
  });
  return hub;
}

test("a manifest may come slowly, as long as something of it comes", async () => {
  const hub = await hubThat(response => {
    let sent = 0;
    const timer = setInterval(() => {
      response.write(body.slice(sent, sent + 20));
      sent += 20;
      if (sent < body.length) return;
      clearInterval(timer);
      response.end();
    }, SILENCE_MS / 5);
  });
  const startedAt = performance.now();
  expect(await hub.manifest("sha256:00")).toEqual(JSON.parse(body));
  expect(performance.now() - startedAt).toBeGreaterThan(SILENCE_MS);
});

test("a hub that falls silent in the midst of a manifest is called unreachable", async () => {
  const hub = await hubThat(response => void response.write(body.slice(0, 50)));
  await expect(hub.manifest("sha256:00")).rejects.toMatchObject({ code: "hub.unreachable" });
});
