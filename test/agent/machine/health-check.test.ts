import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runHealthCheck } from "../../../src/agent/machine/io/run-health-check.ts";
import { TemporaryFolder } from "../../images/disk/system-tools.ts";

function check(...exec: string[]) {
  return runHealthCheck({ name: "probe", exec, timeoutSeconds: 1 });
}

describe("runHealthCheck()", () => {
  test("passes on exit code 0 and keeps what was said", async () => {
    expect(await check("echo", "all well")).toEqual({ name: "probe", status: "pass", detail: "all well" });
  });

  test("fails on any other, with the last words", async () => {
    expect(await check("sh", "-c", "echo no route >&2; exit 3")).toEqual({
      name: "probe",
      status: "fail",
      detail: "ended with 3: no route",
    });
  });

  test("fails when a signal ends it", async () => {
    expect(await check("sh", "-c", "kill -SEGV $$")).toMatchObject({
      status: "fail",
      detail: "ended with SIGSEGV",
    });
  });

  test("fails when the program is not there", async () => {
    expect(await check("/no/such/program")).toMatchObject({
      status: "fail",
      detail: expect.stringContaining("/no/such/program cannot be run"),
    });
  });

  test("runs no shell", async () => {
    expect(await check("echo", "$HOME; false")).toMatchObject({ status: "pass", detail: "$HOME; false" });
  });

  test("ends a check that takes too long, and what it has started", async () => {
    using folder = new TemporaryFolder();
    const pidFile = join(folder.path, "pid");
    const result = await check("sh", "-c", `sleep 600 & echo $! > ${pidFile}; echo waiting; wait`);
    expect(result).toEqual({ name: "probe", status: "fail", detail: "no end after 1 s: waiting" });
    const state = () => {
      try {
        return /^State:\s+(\S)/m.exec(
          readFileSync(`/proc/${readFileSync(pidFile, "utf8").trim()}/status`, "utf8"),
        )?.[1];
      } catch {
        return "gone";
      }
    };
    await expect.poll(state).toMatch(/gone|Z/);
  });

  test("keeps only the end of much output", async () => {
    const { detail } = await check("sh", "-c", "seq 1 20000; echo the end; exit 1");
    expect(detail.length).toBeLessThan(1100);
    expect(detail).toMatch(/the end$/);
  });
});
