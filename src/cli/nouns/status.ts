/** `drp status` and `drp version` */
import { type Status, statusSchema } from "../../api/wire.ts";
import { DrpError } from "../../core/errors.ts";
import { formatDuration } from "../../core/time.ts";
import type { Cli, CliContext } from "../cli.ts";
import type { Column } from "../format/table.ts";
import { printable } from "../format/table.ts";
import { durationOption } from "../options.ts";
import { VERSION } from "../version.ts";

const RETRY_MS = 250;

export function addStatus(cli: Cli): void {
  const command = cli.root
    .command("status")
    .description("what the hub runs, and what is off and why")
    .option("--wait", "stay until the hub answers")
    .addOption(durationOption("--timeout <duration>", "how long --wait stays", "30s"));
  cli.on<{ wait?: true; timeout: number }>(command, async ({ context, options }) => {
    const status = await readStatus(context, options.wait === undefined ? 0 : options.timeout);
    if (context.out.device.format !== "table") return context.out.record(status, []);
    const uptime = formatDuration(context.now() - status.startedAt);
    context.out.device.write(printable(`drp ${status.version}, up ${uptime}`).concat("\n\n"));
    context.out.list(status.services, columns, "The hub names no services.");
  });

  cli.on(cli.root.command("version").description("of this program"), async ({ context }) => {
    context.out.record({ version: VERSION, node: process.versions.node }, [
      ["drp", VERSION],
      ["node", process.versions.node],
    ]);
  });
}

/** @param patienceMs a hub that is starting up refuses connections, and has not written its token yet */
async function readStatus(context: CliContext, patienceMs: number): Promise<Status> {
  const deadline = context.now() + patienceMs;
  for (;;) {
    try {
      return await context.api().get("/status", statusSchema);
    } catch (error) {
      if (context.now() >= deadline || !isStillStarting(error)) throw error;
    }
    await context.sleep(RETRY_MS);
  }
}

function isStillStarting(error: unknown): boolean {
  return (
    error instanceof DrpError && ["hub.unreachable", "auth.missing", "input.unreadable"].includes(error.code)
  );
}

const columns: Column<Status["services"][number]>[] = [
  { title: "SERVICE", cell: service => service.name },
  {
    title: "STATE",
    cell: service => service.state,
    tone: service => (service.state === "on" ? "good" : "busy"),
  },
  { title: "DETAIL", cell: service => service.detail, shrinkTo: 36 },
];
