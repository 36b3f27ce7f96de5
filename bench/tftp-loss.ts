/** TFTP through a relay that loses 1 % of the packets of each direction and delays the rest by 10 ms: does every transfer complete? */
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { startTftpServer } from "../src/pxe/io/tftp-server.ts";
import { startLossyRelay } from "../test/pxe/helpers/lossy-relay.ts";
import { type BenchRun, heldAgainstLimit, type Result } from "./benchmark.ts";
import type { Programs } from "./peers.ts";
import { runClient } from "./wire.ts";

const LINE = { lost: 0.01, doubled: 0, delayMs: 10, jitterMs: 0 };
const SEED = 4;
/** Half of them in lock-step, half in windows of 16 blocks, all at once. */
const TRANSFERS = 20;
const LOOPBACK = "127.0.0.1";

/** @param file as it must arrive; a megabyte takes about 20 s in lock-step over such a line */
export async function measureLoss(run: BenchRun, programs: Programs, file: string): Promise<Result> {
  const wanted = await readFile(file);
  const server = await startTftpServer({
    address: LOOPBACK,
    port: 0,
    findFile: async () => ({ kind: "file", path: file }),
    onEvent: () => {},
  });
  try {
    await using relay = await startLossyRelay({ serverPort: server.port, seed: SEED, ...LINE });
    const folder = path.join(run.folder, "through-loss");
    await mkdir(folder);
    const windows = Array.from({ length: TRANSFERS }, (_, index) => (index % 2 === 0 ? 1 : 16));
    const transfers = windows.map((windowBlocks, index) => {
      const output = path.join(folder, String(index));
      return { output, args: atftpArguments(windowBlocks, output, relay.port) };
    });
    const whole = await Promise.all(
      transfers.map(async ({ output, args }) => {
        const command = { namespace: null, program: programs.find("atftp"), args, env: programs.env };
        try {
          await runClient({ ...command, signal: run.signal });
          return (await readFile(output)).equals(wanted);
        } catch (error) {
          run.say(`through loss: ${error instanceof Error ? error.message.trim() : error}`);
          return false;
        }
      }),
    );
    const completed = whole.filter(Boolean).length;
    run.say(
      `through loss: ${completed} of ${whole.length} are whole; ${relay.lostPackets()} packets were lost`,
    );
    return heldAgainstLimit(
      run.bench,
      { case: "whole through 1 % loss, 10 ms", unit: "transfers", better: "higher", limit: whole.length },
      completed,
    );
  } finally {
    await server.close();
  }
}

/**
 * atftp leaves it to the server how long to wait for an acknowledgement; curl asks for 6 s (RFC 2349), so that each loss would
 * cost as much.
 */
function atftpArguments(windowBlocks: number, output: string, port: number): string[] {
  const options = ["--option", "blksize 1428", "--option", `windowsize ${windowBlocks}`];
  return [...options, "-g", "-r", "file", "-l", output, LOOPBACK, String(port)];
}
