/** `drp status` and `drp version` */
import { type Status, statusSchema } from "../../api/wire.ts";
import { formatDuration } from "../../core/time.ts";
import type { Cli } from "../cli.ts";
import type { Column } from "../format/table.ts";
import { printable } from "../format/table.ts";
import { VERSION } from "../version.ts";

export function addStatus(cli: Cli): void {
  cli.on(
    cli.root.command("status").description("what the hub runs, and what is off and why"),
    async ({ context }) => {
      const status = await context.api().get("/status", statusSchema);
      if (context.out.device.format !== "table") return context.out.record(status, []);
      const uptime = formatDuration(context.now() - status.startedAt);
      context.out.device.write(printable(`drp ${status.version}, up ${uptime}`).concat("\n\n"));
      context.out.list(status.services, columns, "The hub names no services.");
    },
  );

  cli.on(cli.root.command("version").description("of this program"), async ({ context }) => {
    context.out.record({ version: VERSION, node: process.versions.node }, [
      ["drp", VERSION],
      ["node", process.versions.node],
    ]);
  });
}

const columns: Column<Status["services"][number]>[] = [
  { title: "SERVICE", cell: service => service.name },
  {
    title: "STATE",
    cell: service => service.state,
    tone: service => (service.state === "on" ? "good" : "busy"),
  },
  { title: "DETAIL", cell: service => service.detail },
];
