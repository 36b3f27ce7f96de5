/** Runs the program as a user does: a process of its own, with its own environment. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import type { TestHub } from "../api/hub.ts";

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const MAIN = resolve("src/main.ts");

export function runDrp(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return endOf(startDrp(args, env));
}

export async function endOf(child: ReturnType<typeof startDrp>): Promise<Ended> {
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>(done => child.on("close", done)),
  ]);
  return { code, stdout, stderr };
}

export function startDrp(args: readonly string[], env: Record<string, string> = {}) {
  return spawn(process.execPath, [MAIN, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env.PATH ?? "", ...env },
  });
}

export interface HubUser extends Disposable {
  readonly env: Record<string, string>;
  readonly folder: string;
}

/** What a user of this hub has set. @param role whose token */
export function userOf(hub: TestHub, role = "admin"): HubUser {
  const folder = mkdtempSync(join(tmpdir(), "drp-cli-"));
  const ca = join(folder, "ca.pem");
  writeFileSync(ca, hub.caPem);
  return {
    folder,
    env: { DRP_ENDPOINT: `https://localhost:${hub.port}`, DRP_TOKEN: `drp_${role}`, DRP_CA: ca },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
