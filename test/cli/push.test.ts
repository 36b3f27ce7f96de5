/** `drp images push` over a line that is cut: by a relay that breaks connections, and by the end of the program itself. */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CHUNK_BYTES } from "../../src/images/manifest.ts";
import { startTestHub, type TestHub } from "../api/hub.ts";
import { makeBundle, makeKey, noise } from "../images/bundles.ts";
import { endOf, type HubUser, runDrp, startDrp, userOf } from "./run-drp.ts";

const key = makeKey();
const DATA_BYTES = 12 * CHUNK_BYTES;
let hub: TestHub;
let user: HubUser;

beforeAll(async () => {
  hub = await startTestHub();
  user = userOf(hub);
  writeFileSync(join(user.folder, "key.pub"), key.publicKeyPem);
  expect((await runDrp(["images", "keys", "trust", join(user.folder, "key.pub")], user.env)).code).toBe(0);
});
afterAll(async () => {
  user[Symbol.dispose]();
  await hub[Symbol.asyncDispose]();
});

async function bundleFile(version: string, seed: number): Promise<string> {
  const file = join(user.folder, `${version}.tar`);
  writeFileSync(file, (await makeBundle(noise(DATA_BYTES, seed), key, "frames", { version })).bytes);
  return file;
}

interface Relay extends Disposable {
  readonly env: Record<string, string>;
  carriedBytes: number;
}

/** Between the program and the hub. @param mayCarry asked after each piece; false breaks that connection */
async function startRelay(mayCarry: (relay: Relay, connectionBytes: number) => boolean): Promise<Relay> {
  const sockets = new Set<Socket>();
  const server: Server = createServer(client => {
    const upstream = connect(hub.port, "127.0.0.1");
    let connectionBytes = 0;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => [client, upstream].map(each => each.destroy()));
    }
    client.on("data", piece => {
      connectionBytes += piece.length;
      relay.carriedBytes += piece.length;
      if (mayCarry(relay, connectionBytes)) upstream.write(piece);
      else client.destroy();
    });
    upstream.pipe(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const relay: Relay = {
    env: { ...user.env, DRP_ENDPOINT: `https://localhost:${port}` },
    carriedBytes: 0,
    [Symbol.dispose]: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  return relay;
}

test("a push over connections that break goes on by itself", async () => {
  let broken = 0;
  using relay = await startRelay((_, connectionBytes) => {
    if (connectionBytes < 1.5 * CHUNK_BYTES || broken >= 3) return true;
    broken++;
    return false;
  });
  const pushed = await runDrp(["images", "push", await bundleFile("1.0", 1)], relay.env);
  expect(pushed).toMatchObject({ code: 0 });
  expect(broken).toBe(3);
  expect(pushed.stderr).toContain("trying again");
  expect(JSON.parse(pushed.stdout)).toMatchObject({ alreadyPresent: false, image: { version: "1.0" } });
});

test("a push that was killed halfway sends the rest when it is started again, and nothing a third time", async () => {
  const file = await bundleFile("2.0", 2);
  using line = await startRelay(({ carriedBytes }) => {
    if (carriedBytes > DATA_BYTES / 2) child.kill("SIGKILL");
    return carriedBytes <= DATA_BYTES / 2;
  });
  const child = startDrp(["images", "push", file], line.env);
  expect((await endOf(child)).code).toBe(null);
  expect((await runDrp(["images", "show", "2.0"], user.env)).code).toBe(1);

  const rest = JSON.parse((await runDrp(["images", "push", file], user.env)).stdout);
  expect(rest).toMatchObject({ alreadyPresent: false, image: { version: "2.0" } });
  expect(rest.sentBytes).toBeGreaterThan(0);
  expect(rest.sentBytes).toBeLessThan(0.75 * DATA_BYTES);
  expect(JSON.parse((await runDrp(["images", "push", file], user.env)).stdout)).toMatchObject({
    alreadyPresent: true,
    sentBytes: 0,
  });
});
