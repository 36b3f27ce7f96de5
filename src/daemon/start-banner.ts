/** What people read when the hub has started: what is on and where, what is off and why. */
import type { Status } from "../api/wire.ts";

interface BannerInput {
  readonly status: Status;
  readonly dataFolder: string;
  readonly adminTokenFile: string;
}

export function formatStartBanner({ status, dataFolder, adminTokenFile }: BannerInput): string {
  const rows = status.services.map(({ name, state, detail }) => [
    `${name} ${state === "off" ? "off" : ""}`.trim(),
    detail,
  ]);
  rows.push(["data", dataFolder], ["admin token", `${adminTokenFile} (the CLI on this host finds it)`]);
  const width = Math.max(...rows.map(([label = ""]) => label.length));
  const lines = rows.map(([label = "", detail = ""]) => `  ${label.padEnd(width)}  ${detail}`);
  return `drp ${status.version} is running\n${lines.join("\n")}\n`;
}
