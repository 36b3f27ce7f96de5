/** The real server, the real machine's client, TLS between them; the hub's rules in memory. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Server } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { createMachineKey, type MachineKey } from "../../../src/agent/machine/io/machine-key.ts";
import { SiteClient } from "../../../src/agent/machine/io/site-client.ts";
import {
  heartbeatAnswerSchema,
  nextAnswerSchema,
  registerAnswerSchema,
  signedManifestSchema,
} from "../../../src/agent/protocol.ts";
import { createMachineChannel } from "../../../src/agent/site/io/machine-channel.ts";
import { MachineDesk } from "../../../src/agent/site/machine-desk.ts";
import { heartbeatWith, intentWith, inventoryWith, MAC, machineWith, V1 } from "../../helpers/machines.ts";
import { MemoryHub } from "../../helpers/memory-hub.ts";
import { createTestCertificate } from "../../helpers/test-certificate.ts";

const BOOT_ID = "11111111-1111-4111-8111-111111111111";
const MANIFEST = {
  manifestText: "{}",
  signature: { formatVersion: 1 as const, keyId: "f".repeat(64), signature: `${"A".repeat(86)}==` },
};

let hub: MemoryHub;
let desk: MachineDesk;
let server: Server;
let now: number;
let caPem: string;
const clients: SiteClient[] = [];

beforeEach(async () => {
  now = 1_000_000;
  hub = new MemoryHub();
  desk = new MachineDesk({ hub, clock: () => now, randomBytes });
  const { caPem: ca, ...tls } = await createTestCertificate();
  caPem = ca;
  server = createMachineChannel({
    desk,
    tls,
    signedManifest: async digest => (digest === V1 ? MANIFEST : undefined),
    onError: () => {},
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  server.close();
  server.closeAllConnections();
  await once(server, "close");
});

function connect(key: MachineKey): SiteClient {
  const client = new SiteClient(`https://127.0.0.1:${(server.address() as AddressInfo).port}`, caPem, key);
  clients.push(client);
  return client;
}

const register = (client: SiteClient, bootToken: string) =>
  client.post(
    "/register",
    { protocolVersion: 1, bootToken, bootMac: MAC, bootId: BOOT_ID, inventory: inventoryWith() },
    registerAnswerSchema,
  );
const next = (client: SiteClient) => client.post("/next", {}, nextAnswerSchema);

test("a discovered machine waits, and installs as soon as an order comes", async () => {
  const client = connect(await createMachineKey());
  const { machineId, machineName } = await register(client, desk.mintToken(MAC, null));
  expect(machineName).toBe("d52-54-00-00-00-01");
  expect(await next(client)).toMatchObject({ kind: "wait", reason: "no install order yet" });

  const machine = hub.machines.get(machineId);
  if (machine === undefined) throw new Error("the registration must have reached the hub");
  hub.set({ ...machine, state: { kind: "assigned", intent: intentWith({ expiresAt: now + 60_000 }) } });
  expect(await next(client)).toMatchObject({ kind: "install", order: { intentId: "i-1", image: V1 } });
  expect(hub.machines.get(machineId)?.state).toMatchObject({ kind: "installing", intent: { attempts: 1 } });
  expect(await next(client)).toMatchObject({ kind: "install" });
  expect(hub.machines.get(machineId)?.state).toMatchObject({ kind: "installing", intent: { attempts: 1 } });
});

test("a machine with an order reads its manifest, and no other", async () => {
  hub.set(machineWith({ state: { kind: "assigned", intent: intentWith({ expiresAt: now + 60_000 }) } }));
  const client = connect(await createMachineKey());
  await register(client, desk.mintToken(MAC, "i-1"));
  expect(await client.get(`/images/${V1}`, signedManifestSchema)).toEqual(MANIFEST);
  await expect(client.get(`/images/sha256:${"2".repeat(64)}`, signedManifestSchema)).rejects.toMatchObject({
    code: "image.unknown",
  });
});

test("a repeated registration of the same key is answered and counted once", async () => {
  hub.set(machineWith({ state: { kind: "assigned", intent: intentWith({ expiresAt: now + 60_000 }) } }));
  const client = connect(await createMachineKey());
  const token = desk.mintToken(MAC, "i-1");
  await register(client, token);
  expect(await register(client, token)).toMatchObject({ machineName: "web-1" });
  expect(hub.machines.get("m-1")?.state).toMatchObject({ intent: { attempts: 1 } });
});

test("a copied boot token is refused for another key, and raises an alarm at the hub", async () => {
  const token = desk.mintToken(MAC, null);
  await register(connect(await createMachineKey()), token);
  await expect(register(connect(await createMachineKey()), token)).rejects.toMatchObject({
    code: "token.rejected",
  });
  expect(hub.reports.at(-1)).toMatchObject({ kind: "token-replayed", mac: MAC, fromAddress: "127.0.0.1" });
});

test("a heartbeat is acknowledged after the hub has it", async () => {
  const key = await createMachineKey();
  const client = connect(key);
  const { machineId } = await register(client, desk.mintToken(MAC, null));
  const answer = await client.post("/heartbeat", heartbeatWith({ seq: 4 }), heartbeatAnswerSchema);
  expect(answer.acknowledged).toEqual({ bootCount: 1, seq: 4 });
  expect(hub.machines.get(machineId)).toMatchObject({ state: { kind: "healthy" }, running: { seq: 4 } });
});

test("a key that never registered is refused", async () => {
  const client = connect(await createMachineKey());
  await expect(next(client)).rejects.toMatchObject({ code: "machine.unknown" });
  await expect(client.post("/heartbeat", heartbeatWith(), heartbeatAnswerSchema)).rejects.toMatchObject({
    code: "machine.unknown",
  });
});

test("a body that is not of the protocol is refused with the field's name", async () => {
  const client = connect(await createMachineKey());
  await expect(
    client.post("/heartbeat", heartbeatWith({ seq: -1 }), heartbeatAnswerSchema),
  ).rejects.toMatchObject({
    code: "request.invalid",
    message: expect.stringContaining("seq"),
  });
  await expect(client.post("/nonsense", {}, z.unknown())).rejects.toMatchObject({ code: "not-found" });
});
