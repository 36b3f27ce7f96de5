import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { startTestHub, type TestHub } from "../api/hub.ts";
import { createTestCertificate } from "../helpers/test-certificate.ts";
import { type HubUser, runDrp, userOf } from "./run-drp.ts";

let hub: TestHub;
let user: HubUser;
const servers: Server[] = [];

beforeAll(async () => {
  hub = await startTestHub();
  user = userOf(hub);
});

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

afterAll(async () => {
  user[Symbol.dispose]();
  await hub[Symbol.asyncDispose]();
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

test("a hub that does not run is named, with what to do", async () => {
  const closed = createTcpServer();
  const port = await listen(closed);
  closed.close();
  const { code, stderr } = await runDrp(["status"], {
    ...user.env,
    DRP_ENDPOINT: `https://127.0.0.1:${port}`,
  });
  expect(stderr).toContain(`drp: nothing listens at https://127.0.0.1:${port}`);
  expect(stderr).toContain("→ Start the hub with `drp serve`, or point DRP_ENDPOINT at it.");
  expect(code).toBe(1);
});

test("a token that the hub does not know is refused in the hub's own words", async () => {
  const { code, stdout, stderr } = await runDrp(["machines", "list"], {
    ...user.env,
    DRP_TOKEN: "drp_wrong",
  });
  expect(stderr).toMatch(/^drp: .*token/);
  expect(stderr.split("\n")).toHaveLength(3);
  expect(stdout).toBe("");
  expect(code).toBe(1);
});

test("a role that may not do something is told which role may", async () => {
  const viewer = { ...user.env, DRP_TOKEN: "drp_viewer" };
  const { code, stderr } = await runDrp(["tokens", "list"], viewer);
  expect(stderr).toContain("needs the role admin; viewer is viewer");
  expect(code).toBe(1);
});

test("a hub whose certificate another CA signed is not trusted", async () => {
  const { key, cert } = await createTestCertificate();
  const port = await listen(createServer({ key, cert }, (_request, response) => response.end("{}")));
  const { code, stderr } = await runDrp(["status"], {
    ...user.env,
    DRP_ENDPOINT: `https://127.0.0.1:${port}`,
  });
  expect(stderr).toContain(`drp: the hub at https://127.0.0.1:${port} could not prove who it is`);
  expect(stderr).toContain("→ Set DRP_CA");
  expect(code).toBe(1);
});

test("a plain HTTP server at that port is recognised", async () => {
  const port = await listen(createHttpServer((_request, response) => response.end("hello")));
  const { code, stderr } = await runDrp(["status"], {
    ...user.env,
    DRP_ENDPOINT: `https://127.0.0.1:${port}`,
  });
  expect(stderr).toContain("does not speak TLS");
  expect(code).toBe(1);
});

test.each([
  ["HTML", "<html>portal</html>", "what answers is not a drp hub but nginx"],
  ["nothing where a list belongs", "", "the answer to GET /machines is not what drp knows"],
  [
    "JSON of another shape",
    '{"items":[{"name":7}],"next":null}',
    "the answer to GET /machines is not what drp knows: items.0.",
  ],
  ["cut JSON", '{"items":[', "what answers is not a drp hub"],
])("%s for an answer is one readable error, never a stack trace", async (_what, body, message) => {
  const { caPem, key, cert } = await createTestCertificate();
  const answer = createServer({ key, cert }, (_request, response) => {
    response.setHeader("server", "nginx");
    response.end(body);
  });
  const port = await listen(answer);
  const ca = join(user.folder, "other.pem");
  writeFileSync(ca, caPem);
  const env = { ...user.env, DRP_ENDPOINT: `https://127.0.0.1:${port}`, DRP_CA: ca };
  const { code, stdout, stderr } = await runDrp(["machines", "list", "-o", "json"], env);
  expect(stderr).toContain(message);
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(stdout).toBe("");
  expect(code).toBe(1);
});

test("on the hub's own host the data folder is enough", async () => {
  const data = join(user.folder, "data");
  mkdirSync(data);
  writeFileSync(join(data, "ca.pem"), hub.caPem);
  writeFileSync(join(data, "admin.token"), "drp_admin\n");
  const env = { DRP_ENDPOINT: user.env.DRP_ENDPOINT ?? "", DRP_DATA: data };
  expect((await runDrp(["status"], env)).code).toBe(0);
});

test("without token and data folder it says how to get either", async () => {
  const empty = mkdtempSync(join(tmpdir(), "drp-cli-empty-"));
  const { code, stderr } = await runDrp(["status"], { DRP_DATA: empty });
  rmSync(empty, { recursive: true });
  expect(stderr).toContain(`drp: DRP_TOKEN is not set, and no hub's data was found in ${empty}`);
  expect(code).toBe(1);
});

test("status --wait stays until a hub that is starting answers", async () => {
  const data = mkdtempSync(join(tmpdir(), "drp-cli-starting-"));
  const env = { DRP_ENDPOINT: user.env.DRP_ENDPOINT ?? "", DRP_DATA: data };
  const waiting = runDrp(["status", "--wait", "--timeout", "10s"], env);
  writeFileSync(join(data, "admin.token"), "drp_admin\n");
  writeFileSync(join(data, "ca.pem"), hub.caPem);
  expect((await waiting).code).toBe(0);
  rmSync(data, { recursive: true });
});
