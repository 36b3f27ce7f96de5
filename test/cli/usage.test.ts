import { expect, test } from "vitest";
import { runDrp } from "./run-drp.ts";

test.each([
  [["machnes", "list"], "drp: unknown command 'machnes'\n  → Did you mean machines?\n"],
  [["machines", "lst"], "drp: unknown command 'lst'\n  → Did you mean list?\n"],
  [["machines", "list", "--sit", "x"], "drp: unknown option '--sit'\n  → Did you mean --site?\n"],
  [["machines", "show"], "drp: missing required argument 'machine'\n  → See: drp machines show --help\n"],
  [
    ["machines", "install", "m", "--image", "v1", "--expires", "5y"],
    "drp: option '--expires <duration>' argument '5y' is invalid. Write it as 90s, 10m, 2h or 7d.\n  → See: drp machines install --help\n",
  ],
])("drp %j is wrong usage", async (args, stderr) => {
  expect(await runDrp(args)).toEqual({ code: 2, stdout: "", stderr });
});

test("what main.ts runs itself shows in --help with everything else", async () => {
  const { code, stdout } = await runDrp(["--help"]);
  for (const noun of [
    "serve",
    "sites",
    "machines",
    "images",
    "leases",
    "subnets",
    "reservations",
    "boot",
    "tokens",
    "events",
    "why",
    "doctor",
  ]) {
    expect(stdout).toMatch(new RegExp(`^  ${noun} `, "m"));
  }
  expect(code).toBe(0);
});

test.each(["bash", "zsh", "fish"])("completion for %s knows nouns, verbs and flags", async shell => {
  const { code, stdout } = await runDrp(["completion", shell]);
  expect(stdout).toContain("cancel-install");
  expect(stdout).toContain("explain");
  expect(stdout).toContain("--boots");
  expect(stdout).toContain("--expires");
  expect(code).toBe(0);
});

test("bash completes with the script that drp prints", async () => {
  const { stdout: script } = await runDrp(["completion", "bash"]);
  const { execFileSync } = await import("node:child_process");
  const ask = `${script}\nCOMP_WORDS=(drp machines ins); COMP_CWORD=2; _drp; echo "\${COMPREPLY[@]}"`;
  expect(execFileSync("bash", ["-c", ask], { encoding: "utf8" })).toBe("install\n");
});
