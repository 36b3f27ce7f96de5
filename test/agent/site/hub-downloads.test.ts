/** Against a hub that answers over TLS as it should not. */

import { mkdtempDisposable } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { expect, test } from "vitest";
import { HubClient } from "../../../src/agent/site/io/hub-client.ts";
import { HubDownloads } from "../../../src/agent/site/io/hub-downloads.ts";
import { WanMeter } from "../../../src/agent/site/io/wan-meter.ts";
import { NO_LIMITS } from "../../../src/images/transfer-limits.ts";
import { openFleet } from "../../helpers/fleet.ts";

test("an answer without bytes is a failure that is tried again after a pause", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "drp-downloads-"));
  const fleet = await openFleet(folder.path);
  let answers = 0;
  const server = createServer(fleet.hubTls, (_request, response) => {
    const body = ++answers < 3 ? "" : "chunk";
    response.writeHead(206, { "content-range": "bytes 0-4/5", "content-length": body.length }).end(body);
  });
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const hub = new HubClient({ url, caPem: fleet.caPem, tls: fleet.site.tls });
  try {
    const limits = { timeZone: "UTC", transferLimits: NO_LIMITS };
    const meter = await WanMeter.open(join(folder.path, "budget.json"), limits, () => 0);
    const troubles: unknown[] = [];
    const bytes = new HubDownloads(hub, meter, () => 0).read({
      path: "/chunks/ab",
      start: 0,
      end: 1000,
      signal: new AbortController().signal,
      onBytes: () => {},
      onTrouble: error => troubles.push(error),
      onHold: () => {},
    });
    expect((await buffer(bytes)).toString()).toBe("chunk");
    expect(troubles).toEqual([1, 2].map(() => expect.objectContaining({ code: "hub.unreachable" })));
  } finally {
    hub.close();
    server.close();
  }
});
