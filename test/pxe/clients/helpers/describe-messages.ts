/** A table of messages as tests: each is sent through real sockets, and its exchange compared with the text that was reviewed. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { captureIn } from "../../../helpers/pcap/capture-in.ts";
import { makeNetwork, runIn, type TestNetwork } from "../../helpers/network.ts";
import { type BootServer, type BootServerOptions, startBootServer } from "./boot-server.ts";
import { expectExchange } from "./golden.ts";
import { whyNoCaptures } from "./programs.ts";
import { openRemoteSocket, type RemoteSocket } from "./remote-socket.ts";

/** Where a message comes from: its socket's port, and where it is sent. */
const SENDERS = {
  /** Broadcast from port 68. */
  client: { port: 68, address: "255.255.255.255", to: 67 },
  /** To the server, from port 67. */
  relay: { port: 67, address: "10.77.0.1", to: 67 },
  /** UEFI asks the boot server from the port that it asks at (EDK2: PxeBcDhcp4.c, PxeBcDhcp4Discover). */
  "boot-server-client": { port: 4011, address: "10.77.0.1", to: 4011 },
} as const;

export interface RawClient {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly from: keyof typeof SENDERS;
  readonly expect: "reply" | "silence";
}

/** @param folder of test/fixtures/exchanges */
export function describeMessages(
  title: string,
  folder: string,
  clients: readonly RawClient[],
  options: BootServerOptions,
): void {
  const missing = whyNoCaptures();
  if (missing !== undefined) console.warn(`skipped: exchanges with ${title}: ${missing}`);

  describe.skipIf(missing !== undefined)(title, () => {
    let network: TestNetwork;
    let server: BootServer;
    const sockets = new Map<RawClient["from"], RemoteSocket>();

    beforeAll(async () => {
      network = await makeNetwork();
      // A client's socket without an address: a route must lead to 255.255.255.255.
      await runIn(network.clientNamespace, "ip", "route", "replace", "255.255.255.255", "dev", "lan0");
      server = await startBootServer(network, options);
      for (const from of new Set(clients.map(client => client.from))) {
        sockets.set(from, await openRemoteSocket(network.clientNamespace, SENDERS[from].port));
      }
    });
    afterAll(async () => {
      for (const socket of sockets.values()) await socket[Symbol.asyncDispose]();
      await server?.[Symbol.asyncDispose]();
      await network?.[Symbol.asyncDispose]();
    });

    it.each(clients)("$name: $expect", async ({ name, bytes, from, expect: expected }) => {
      await using capture = await captureIn(network.clientNamespace, "lan0");
      server.events.length = 0;
      const socket = sockets.get(from);
      socket?.send(bytes, SENDERS[from].address, SENDERS[from].to);
      const { kind, summary } = await server.untilEvent(({ kind }) => DECIDED.test(kind));
      expect(kind).toMatch(expected === "reply" ? /offer|ack|nak/ : /silent|malformed/);
      if (expected === "reply") await answerTo(bytes, socket);
      await expectExchange(capture, `${folder}/${name}`, { ourWords: `${kind}: ${summary}` });
    });
  });
}

const DECIDED = /^(dhcp|proxy)\.(offer|ack|nak|silent|malformed)$/;

/** Its transaction is at offset 4 (RFC 2131 §2). */
async function answerTo(asked: Uint8Array, socket: RemoteSocket | undefined): Promise<void> {
  const transaction = (bytes: Uint8Array) => Buffer.from(bytes.subarray(4, 8)).toString("hex");
  while (socket !== undefined && transaction(await socket.next()) !== transaction(asked));
}
