/** curl against our boot HTTP server; what both said is kept as text in test/fixtures/exchanges. */
import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Capture, captureIn } from "../../helpers/pcap/capture-in.ts";
import { makeNetwork, runIn, type TestNetwork, whyNoProgram } from "../helpers/network.ts";
import { LOADER } from "./helpers/boot-server.ts";
import { expectExchange } from "./helpers/golden.ts";
import { whyNoCaptures } from "./helpers/programs.ts";
import { type RunningProgram, startBootHttpIn } from "./helpers/running-program.ts";

const missing = whyNoCaptures() ?? whyNoProgram("curl");
if (missing !== undefined) console.warn(`skipped: exchanges with curl: ${missing}`);

const LOADER_URL = "http://10.77.0.1:8091/loaders/ipxe.efi";

describe.skipIf(missing !== undefined)("curl", () => {
  let folder = "";
  let network: TestNetwork;
  let server: RunningProgram;
  let capture: Capture | undefined;
  let local = "";

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "drp-curl-"));
    local = join(folder, "fetched");
    await writeFile(join(folder, "loader"), LOADER);
    network = await makeNetwork();
    server = await startBootHttpIn(network.serverNamespace, "10.77.0.1", join(folder, "loader"));
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await network?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  beforeEach(async () => {
    capture = await captureIn(network.serverNamespace, "lan0");
  });
  afterEach(async () => await capture?.[Symbol.asyncDispose]());

  const curl = async (...args: string[]) =>
    await runIn(network.clientNamespace, "curl", "-s", "-o", local, ...args);
  const fetched = async () => await readFile(local);

  it("fetches a file, and its head, over one connection", async () => {
    await curl(LOADER_URL, "--next", "-s", "-I", LOADER_URL);
    expect((await fetched()).equals(LOADER)).toBe(true);
    await expectExchange(capture, "curl-get-and-head");
  });

  it.each([
    ["the first ten bytes", "0-9", LOADER.subarray(0, 10), "curl-range-first"],
    ["the last ten bytes", "-10", LOADER.subarray(-10), "curl-range-last"],
    ["a range that ends beyond the file", "49990-60000", LOADER.subarray(49_990), "curl-range-beyond"],
  ])("fetches %s", async (_name, range, bytes, golden) => {
    await curl("-r", range, LOADER_URL);
    expect(await fetched()).toEqual(bytes);
    await expectExchange(capture, golden);
  });

  it("is told that a range lies behind the file", async () => {
    await curl("-r", "50000-", LOADER_URL);
    await expectExchange(capture, "curl-range-behind");
  });

  it("resumes a download that was cut", async () => {
    await curl(LOADER_URL);
    await truncate(local, 20_000);
    await curl("-C", "-", LOADER_URL);
    expect((await fetched()).equals(LOADER)).toBe(true);
    await expectExchange(capture, "curl-resume");
  });

  it("is sent nothing that it has already, by its ETag", async () => {
    const etags = join(folder, "etags");
    await curl("--etag-save", etags, LOADER_URL);
    await curl("--etag-compare", etags, LOADER_URL);
    await expectExchange(capture, "curl-if-none-match");
  });

  it("gets a chunk that never changes and a script, and hears what is not served", async () => {
    const at = (path: string) => `http://10.77.0.1:8091${path}`;
    await curl(at(`/chunks/${"ab".repeat(32)}`));
    await curl(at("/boot.ipxe?mac=02:00:00:00:77:01"));
    expect((await fetched()).toString()).toContain("#!ipxe");
    await curl(at("/loaders/nothing.efi"));
    await curl(at("/loaders/../../etc/passwd"), "--path-as-is");
    await expectExchange(capture, "curl-chunk-script-missing");
  });

  it("may not write", async () => {
    await curl("-T", local, LOADER_URL);
    await expectExchange(capture, "curl-put");
  });
});
