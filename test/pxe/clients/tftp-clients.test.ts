/** TFTP clients that others wrote, against our server; what both said is kept as text in test/fixtures/exchanges. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Capture, captureIn } from "../../helpers/pcap/capture-in.ts";
import { makeNetwork, runIn, type TestNetwork } from "../helpers/network.ts";
import { type BootServer, LOADER, startBootServer } from "./helpers/boot-server.ts";
import { expectExchange } from "./helpers/golden.ts";
import { itWith, whyNoCaptures } from "./helpers/programs.ts";

const missing = whyNoCaptures();
if (missing !== undefined) console.warn(`skipped: exchanges with TFTP clients: ${missing}`);

describe.skipIf(missing !== undefined)("TFTP clients", () => {
  let network: TestNetwork;
  let server: BootServer;
  let capture: Capture | undefined;
  let local = "";

  beforeAll(async () => {
    network = await makeNetwork();
    server = await startBootServer(network);
    local = join(server.folder, "fetched");
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await network[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    capture = await captureIn(network.serverNamespace, "lan0");
  });
  afterEach(async () => await capture?.[Symbol.asyncDispose]());

  const run = (program: string, ...args: string[]) => runIn(network.clientNamespace, program, ...args);
  const fetched = async () => (await readFile(local)).equals(LOADER);

  itWith("tftp", "tftp-hpa fetches without options: 512 bytes a block, in lock-step", async () => {
    await run("tftp", "-m", "binary", "10.77.0.1", "-c", "get", "ipxe.efi", local);
    expect(await fetched()).toBe(true);
    await expectExchange(capture, "tftp-hpa");
  });

  itWith("tftp", "tftp-hpa hears that a file is not there", async () => {
    expect(await run("tftp", "-m", "binary", "10.77.0.1", "-c", "get", "../etc/passwd", local)).toContain(
      "Error code 1",
    );
    await expectExchange(capture, "tftp-hpa-missing");
  });

  itWith("tftp", "tftp-hpa may not write", async () => {
    expect(await run("tftp", "-m", "binary", "10.77.0.1", "-c", "put", local, "ipxe.efi")).toContain(
      "Error code",
    );
    await expectExchange(capture, "tftp-hpa-write");
  });

  const atftp = (...options: string[]) =>
    run(
      "atftp",
      ...options.flatMap(option => ["--option", option]),
      "-g",
      "-r",
      "ipxe.efi",
      "-l",
      local,
      "10.77.0.1",
    );

  itWith("atftp", "atftp asks for the size and for large blocks", async () => {
    await atftp("tsize", "blksize 1428");
    expect(await fetched()).toBe(true);
    await expectExchange(capture, "atftp-large-blocks");
  });

  itWith("atftp", "atftp fetches in windows of eight blocks", async () => {
    await atftp("blksize 1024", "windowsize 8", "timeout 3");
    expect(await fetched()).toBe(true);
    await expectExchange(capture, "atftp-windows");
  });

  itWith("busybox", "busybox' tftp asks for larger blocks", async () => {
    await run("busybox", "tftp", "-g", "-b", "1400", "-r", "ipxe.efi", "-l", local, "10.77.0.1");
    expect(await fetched()).toBe(true);
    await expectExchange(capture, "busybox-tftp");
  });

  itWith("curl", "curl fetches over TFTP", async () => {
    await run("curl", "-s", "-o", local, "tftp://10.77.0.1/ipxe.efi");
    expect(await fetched()).toBe(true);
    await expectExchange(capture, "curl-tftp");
  });

  it("npm's tftp client fetches in windows of four blocks", async () => {
    const script = `
      const tftp = require(${JSON.stringify(createRequire(import.meta.url).resolve("tftp"))});
      tftp.createClient({ host: "10.77.0.1" }).get("ipxe.efi", ${JSON.stringify(local)}, error => {
        if (error) throw error;
      });`;
    await run(process.execPath, "-e", script);
    expect(await fetched()).toBe(true);
    await expectExchange(capture, "npm-tftp");
  });
});
