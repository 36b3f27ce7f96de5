/**
 * `npm run test:fuzz [-- --packets N] [--seed S] [--target dhcp|silent-relays|tftp|transfer|proxy-dhcp]`: a million packets to each target
 * unless told otherwise. The seed is printed; the same seed makes the same packets.
 */
import { parseArgs } from "node:util";
import { describeErrorChain } from "../../src/core/errors.ts";
import { whyNoNamespaces } from "../pxe/helpers/network.ts";
import type { Target } from "./attack.ts";
import { ALL_TARGETS, fuzz } from "./fuzz.ts";
import { findFaults } from "./verdict.ts";

const { values } = parseArgs({
  options: {
    packets: { type: "string" },
    seed: { type: "string" },
    target: { type: "string", multiple: true },
  },
});
const packets = Number(values.packets ?? 1_000_000);
const seed = Number(values.seed ?? Date.now() % 2 ** 32);
const chosen = values.target ?? ALL_TARGETS;
const targets = ALL_TARGETS.filter(target => chosen.includes(target));

if (!Number.isInteger(packets) || packets < 1 || !Number.isInteger(seed) || targets.length < chosen.length) {
  console.error(`usage: npm run test:fuzz -- [--packets N] [--seed S] [--target ${ALL_TARGETS.join("|")}]`);
  process.exit(2);
}
const missing = whyNoNamespaces();
if (missing !== undefined) {
  console.error(`fuzz: cannot run here: ${missing}`);
  process.exit(1);
}
process.exitCode = await main(targets);

async function main(targets: readonly Target[]): Promise<number> {
  console.log(`fuzz: ${packets} packets to each of ${targets.join(", ")}; seed ${seed}`);
  try {
    const reports = await fuzz({ packets, seed, targets, say: line => console.log(`fuzz: ${line}`) });
    const faults = reports.flatMap(findFaults);
    for (const fault of faults) console.error(`fuzz: FAILED: ${fault}`);
    return faults.length === 0 ? 0 : 1;
  } catch (error) {
    console.error(`fuzz: FAILED: ${describeErrorChain(error)}`);
    return 1;
  }
}
