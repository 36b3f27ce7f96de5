/** `drp machine install` (in the boot ramdisk) and `drp machine run` (in the installed OS), wired to the real machine. */
import { readFile } from "node:fs/promises";
import packageJson from "../../../package.json" with { type: "json" };
import { runTool } from "../../images/io/run-tool.ts";
import { buildInfoSchema, fleetTrustSchema } from "./agent-files.ts";
import { moveClockForward } from "./io/clock.ts";
import { explainError, sayOnConsole } from "./io/console.ts";
import { readJsonFile } from "./io/json-file.ts";
import { parseInstallArguments, parseRunArguments } from "./kernel-arguments.ts";

/** Where every golden image mounts drp-data. */
const DATA_FOLDER = "/drp-data";
const REBUILD = "Build the boot files again.";

/** @returns the exit code; 2 for a verb that there is not */
export async function runMachine(args: readonly string[]): Promise<number> {
  const [verb = ""] = args;
  if (verb === "install") return await runMachineInstall();
  if (verb === "run") return await runMachineRun();
  sayOnConsole("usage: drp machine install | drp machine run");
  return 2;
}

/** @returns 0 when the machine should reboot into its disk, 1 when it should try again from the network */
async function runMachineInstall(): Promise<number> {
  // Certificates are made here only; the agent of the installed OS need not carry that in memory.
  const { installMachine } = await import("./io/install.ts");
  const { readInventory } = await import("./io/read-inventory.ts");
  return await exitCodeOf(async () => {
    const installArguments = parseInstallArguments(await readCommandLine());
    const fleet = await readJsonFile("/etc/drp/fleet.json", fleetTrustSchema, REBUILD);
    const { builtAt } = await readJsonFile("/usr/lib/drp/build.json", buildInfoSchema, REBUILD);
    await moveClockForward(new Date(builtAt));
    await installMachine({
      arguments: installArguments,
      fleet,
      builtAt: Date.parse(builtAt),
      inventory: await readInventory(),
      bootId: await readBootId(),
      loaderFolder: "/usr/lib/drp/loader",
      say: sayOnConsole,
    });
  });
}

/** Runs until it is ended, or the machine starts again. @returns 1 when there is nothing to run with */
async function runMachineRun(): Promise<number> {
  const { keepReporting } = await import("./io/run.ts");
  const { findMachineDisk } = await import("./io/machine-disk.ts");
  return await exitCodeOf(async () =>
    keepReporting({
      arguments: parseRunArguments(await readCommandLine()),
      bootId: await readBootId(),
      agentVersion: packageJson.version,
      dataFolder: DATA_FOLDER,
      findDisk: () => findMachineDisk(DATA_FOLDER),
      readUptimeSeconds: async () => Number.parseFloat(await readFile("/proc/uptime", "utf8")),
      reboot: restartMachine,
      say: sayOnConsole,
    }),
  );
}

async function exitCodeOf(action: () => Promise<void>): Promise<number> {
  try {
    await action();
    return 0;
  } catch (error) {
    sayOnConsole(`failed: ${explainError(error)}`);
    return 1;
  }
}

/** Past the system's own services: a trial that fails may hold one that never stops. */
async function restartMachine(): Promise<void> {
  await runTool("sync", []);
  await runTool("reboot", ["-f"]);
}

async function readCommandLine(): Promise<string> {
  return await readFile("/proc/cmdline", "utf8");
}

async function readBootId(): Promise<string> {
  return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
}
