/** Runs one health check of the manifest: a program without a shell, with a time limit. */
import { spawn } from "node:child_process";
import type { HealthCheck } from "../../../images/manifest.ts";
import type { HealthResult } from "../../protocol.ts";

/** The end of what a check said is what explains its failure. */
const KEPT_OUTPUT_CHARACTERS = 1024;

export function runHealthCheck(check: HealthCheck): Promise<HealthResult> {
  const [program = "", ...args] = check.exec;
  const result = (status: HealthResult["status"], detail: string) => ({ name: check.name, status, detail });
  return new Promise(resolve => {
    // A group of its own, so that a time-out ends what the check has started as well.
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
    let output = "";
    let isLate = false;
    const keep = (text: string) => {
      output = (output + text).slice(-KEPT_OUTPUT_CHARACTERS);
    };
    child.stdout.setEncoding("utf8").on("data", keep);
    child.stderr.setEncoding("utf8").on("data", keep);
    const timer = setTimeout(() => {
      isLate = true;
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, check.timeoutSeconds * 1000);
    child.on("error", error => {
      clearTimeout(timer);
      resolve(result("fail", `${program} cannot be run: ${error.message}`));
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (code === 0) return resolve(result("pass", output.trim()));
      const ending = isLate ? `no end after ${check.timeoutSeconds} s` : `ended with ${code ?? signal}`;
      resolve(result("fail", [ending, output.trim()].filter(text => text !== "").join(": ")));
    });
  });
}
