/**
 * `npm run bench -- NAME [--json]`: ours and the peer in turn. README.md says what each benchmark measures.
 *
 * Ends with 0 when everything could be measured, a missed bar included; 1 when not; 2 for a name that is none.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";
import { DrpError, describeErrorChain } from "../src/core/errors.ts";
import { type Benchmark, formatResults } from "./benchmark.ts";
import { bootHttpBenchmark } from "./boot-http.ts";
import { deltaBenchmark } from "./delta.ts";
import { dhcpBenchmark } from "./dhcp.ts";
import { historyBenchmark } from "./history.ts";
import { ingestBenchmark } from "./ingest.ts";
import { mixedBenchmark } from "./mixed.ts";
import { streamBenchmark } from "./stream.ts";
import { tftpBenchmark } from "./tftp.ts";

const BENCHMARKS: readonly Benchmark[] = [
  dhcpBenchmark,
  tftpBenchmark,
  bootHttpBenchmark,
  mixedBenchmark,
  deltaBenchmark,
  historyBenchmark,
  streamBenchmark,
  ingestBenchmark,
];

/** On the disk of the checkout: /tmp may be memory. */
const WORK_FOLDER = path.join(import.meta.dirname, "..", ".cache", "bench");

const interruption = new AbortController();
// Every time, not once: a terminal's Ctrl-C comes from the terminal and from npm, and ending takes a moment.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => interruption.abort());

process.exitCode = await main(process.argv.slice(2));

async function main(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    options: { json: { type: "boolean" } },
    allowPositionals: true,
  });
  const [name] = positionals;
  const benchmark = BENCHMARKS.find(candidate => candidate.name === name);
  if (benchmark === undefined) {
    if (name !== undefined) console.error(`bench: there is no benchmark ${JSON.stringify(name)}`);
    for (const { name, summary } of BENCHMARKS) console.log(`npm run bench -- ${name.padEnd(10)} ${summary}`);
    return name === undefined ? 0 : 2;
  }
  return await measure(benchmark, values.json === true);
}

async function measure(benchmark: Benchmark, json: boolean): Promise<number> {
  const startedAt = Date.now();
  const say = (line: string) =>
    console.error(`bench ${((Date.now() - startedAt) / 1000).toFixed(1).padStart(5)} s  ${line}`);
  await mkdir(WORK_FOLDER, { recursive: true });
  const folder = await mkdtemp(path.join(WORK_FOLDER, `${benchmark.name}-`));
  try {
    const results = await benchmark.run({ bench: benchmark.name, folder, say, signal: interruption.signal });
    if (json) for (const { figure } of results) console.log(JSON.stringify(figure));
    else console.log(formatResults(results));
    return 0;
  } catch (error) {
    const why = interruption.signal.aborted ? "interrupted" : describeErrorChain(error);
    console.error(`bench: ${benchmark.name} could not be measured: ${why}`);
    if (error instanceof DrpError && error.advice !== undefined) console.error(`  → ${error.advice}`);
    return 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
