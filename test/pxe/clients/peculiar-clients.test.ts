/** Odd clients' messages through real sockets; what is said is kept as text in test/fixtures/exchanges/peculiar. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { captureIn } from "../../helpers/pcap/capture-in.ts";
import { makeNetwork, runIn, type TestNetwork } from "../helpers/network.ts";
import { type BootServer, startBootServer } from "./helpers/boot-server.ts";
import { expectExchange } from "./helpers/golden.ts";
import { whyNoCaptures } from "./helpers/programs.ts";
import { openRemoteSocket, type RemoteSocket } from "./helpers/remote-socket.ts";
import { PECULIAR_CLIENTS, PECULIAR_RESERVATIONS } from "./peculiar-clients.ts";

const missing = whyNoCaptures();
if (missing !== undefined) console.warn(`skipped: exchanges with peculiar clients: ${missing}`);

describe.skipIf(missing !== undefined)("peculiar clients", () => {
  let network: TestNetwork;
  let server: BootServer;
  let sockets: { readonly client: RemoteSocket; readonly relay: RemoteSocket };

  beforeAll(async () => {
    network = await makeNetwork();
    // A client's socket without an address: a route must lead to 255.255.255.255.
    await runIn(network.clientNamespace, "ip", "route", "replace", "255.255.255.255", "dev", "lan0");
    server = await startBootServer(network, { reservations: PECULIAR_RESERVATIONS });
    sockets = {
      client: await openRemoteSocket(network.clientNamespace, 68),
      relay: await openRemoteSocket(network.clientNamespace, 67),
    };
  });
  afterAll(async () => {
    await sockets?.client[Symbol.asyncDispose]();
    await sockets?.relay[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
    await network[Symbol.asyncDispose]();
  });

  it.each(PECULIAR_CLIENTS)("$name: $expect", async ({ name, bytes, from, expect: expected }) => {
    await using capture = await captureIn(network.clientNamespace, "lan0");
    server.events.length = 0;
    if (from === "client") sockets.client.send(bytes, "255.255.255.255", 67);
    else sockets.relay.send(bytes, "10.77.0.1", 67);
    const { kind, summary } = await server.untilEvent(({ kind }) => DECIDED.test(kind));
    expect(kind).toMatch(expected === "reply" ? /offer|ack|nak/ : /silent|malformed/);
    if (expected === "reply") await answerTo(bytes, sockets[from]);
    await expectExchange(capture, `peculiar/${name}`, `${kind}: ${summary}`);
  });
});

const DECIDED = /^dhcp\.(offer|ack|nak|silent|malformed)$/;

/** Its transaction is at offset 4 (RFC 2131 §2). */
async function answerTo(asked: Uint8Array, socket: RemoteSocket): Promise<void> {
  const transaction = (bytes: Uint8Array) => Buffer.from(bytes.subarray(4, 8)).toString("hex");
  while (transaction(await socket.next()) !== transaction(asked));
}
