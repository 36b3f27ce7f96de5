#!/usr/bin/env node
/** The one entry of the one executable: picks the role, and nothing else. */

const OLDEST_NODE = 24;

async function main(argv: readonly string[]): Promise<number> {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < OLDEST_NODE) {
    console.error(
      `drp: needs Node.js ${OLDEST_NODE} or newer, this is ${process.versions.node}; start it with: npm start`,
    );
    return 1;
  }
  const [role = "", ...rest] = argv;
  // Each role is loaded alone: in the ramdisk, every module that is not read is time and memory won.
  switch (role) {
    case "machine":
      return (await import("./agent/machine/main.ts")).runMachine(rest);
    case "boot-process":
      return (await import("./pxe/main.ts")).runBootProcess();
    case "delta-process":
      return (await import("./images/main.ts")).runDeltaProcess();
    case "site":
      return (await import("./agent/site/main.ts")).runSite(rest);
    case "serve":
      return (await import("./daemon/main.ts")).runServe(rest);
    default:
      return (await import("./cli/run-cli.ts")).runCli(argv);
  }
}

// No top-level await: the single executable's entry is CommonJS.
void main(process.argv.slice(2)).then(exitCode => {
  process.exitCode = exitCode;
});
