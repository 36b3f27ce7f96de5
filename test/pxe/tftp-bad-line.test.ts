/** Transfers over a line that loses, doubles, delays and reorders: every one completes, byte for byte. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTftpServer, type TftpServer } from "../../src/pxe/io/tftp-server.ts";
import { startLossyRelay } from "./helpers/lossy-relay.ts";
import { whyNoProgram } from "./helpers/network.ts";
import { fetchWithTftp } from "./helpers/tftp-client.ts";

const run = promisify(execFile);
const FILE = randomBytes(600_001);
/** In lock-step each block takes two delays, so that a long file would only take long. */
const FILES = { long: FILE, short: FILE.subarray(0, 100_000), tiny: FILE.subarray(0, 20_000) };
type FileName = keyof typeof FILES;

interface Line {
  readonly lost: number;
  readonly doubled: number;
  readonly delayMs: number;
  readonly jitterMs: number;
  readonly inLockStep: FileName;
  readonly inWindows: FileName;
}
const GOOD = { lost: 0.01, doubled: 0, delayMs: 10, jitterMs: 0 };
const LINES: Record<string, Line> = {
  "a line that loses 1 % and takes 10 ms": { ...GOOD, inLockStep: "short", inWindows: "long" },
  "a line that also doubles 2 % and reorders": {
    ...GOOD,
    doubled: 0.02,
    jitterMs: 4,
    inLockStep: "short",
    inWindows: "long",
  },
  "a line that loses 10 %": {
    ...GOOD,
    lost: 0.1,
    delayMs: 2,
    inLockStep: "tiny",
    inWindows: "short",
  },
};
const noAtftp = whyNoProgram("atftp");

interface TftpPackage {
  createClient(options: object): {
    get(remote: string, local: string, done: (error: Error | null) => void): void;
  };
}
const tftp: TftpPackage = createRequire(import.meta.url)("tftp");

let folder = "";
let server: TftpServer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "drp-tftp-line-"));
  for (const [name, bytes] of Object.entries(FILES)) await writeFile(join(folder, name), bytes);
  server = await startTftpServer({
    address: "127.0.0.1",
    port: 0,
    findFile: async name => ({ kind: "file", path: join(folder, name) }),
    onEvent: () => {},
  });
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

const shapes = [512, 1428, 1468].flatMap(blockBytes =>
  [1, 4, 16, 64].map(windowBlocks => ({ blockBytes, windowBlocks })),
);
describe.concurrent.each(Object.entries(LINES))("over %s", (_, line) => {
  it("every block size and window arrives whole", async () => {
    await using relay = await startLossyRelay({ serverPort: server.port, seed: 7, ...line });
    await Promise.all(
      shapes.map(async shape => {
        const name = shape.windowBlocks < 16 ? line.inLockStep : line.inWindows;
        const bytes = await fetchWithTftp({ port: relay.port, name, ...shape });
        expect(bytes.equals(FILES[name]), JSON.stringify(shape)).toBe(true);
      }),
    );
    expect(relay.lostPackets()).toBeGreaterThan(10);
  });

  it("npm's tftp client gets its file whole", async () => {
    await using relay = await startLossyRelay({ serverPort: server.port, seed: 11, ...line });
    const options = {
      host: "127.0.0.1",
      port: relay.port,
      // A gap makes its larger windows wait for ever: it moves their start, not their end (reader.js, 0.1.2).
      windowSize: 1,
      blockSize: 1428,
      timeout: 300,
      retries: 30,
    };
    const local = join(folder, `npm-${relay.port}`);
    const { promise, resolve } = Promise.withResolvers<Error | null>();
    tftp.createClient(options).get(line.inLockStep, local, resolve);
    expect((await promise) ?? null).toBeNull();
    expect((await readFile(local)).equals(FILES[line.inLockStep])).toBe(true);
  });

  it.skipIf(noAtftp !== undefined)(`atftp gets its file whole ${noAtftp ?? ""}`, async () => {
    await using relay = await startLossyRelay({ serverPort: server.port, seed: 13, ...line });
    const local = join(folder, `atftp-${relay.port}`);
    const asks = ["--option", "blksize 1428", "--option", "windowsize 4", "--option", "timeout 1"];
    await run("atftp", [
      ...asks,
      "--get",
      "-r",
      line.inLockStep,
      "-l",
      local,
      "127.0.0.1",
      String(relay.port),
    ]);
    expect((await readFile(local)).equals(FILES[line.inLockStep])).toBe(true);
  });
});
