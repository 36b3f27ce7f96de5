/** `drp leases …`: addresses of the hub's own site, who has them and who had them. */
import { type Lease, type LeaseHistoryEntry, leaseHistoryEntrySchema, leaseSchema } from "../../api/wire.ts";
import { DrpError } from "../../core/errors.ts";
import type { EpochMs } from "../../core/time.ts";
import { type Cli, firstArgument } from "../cli.ts";
import type { Column } from "../format/table.ts";
import { formatAge, formatTime } from "../format/words.ts";
import { parseCount } from "../options.ts";

const DEFAULT_ENTRIES = 100;

export function addLeases(cli: Cli): void {
  const leases = cli.root.command("leases").description("addresses that the hub's own site has given out");
  cli.on(leases.command("list").description("every lease"), async ({ context }) => {
    const items = await context.api().list("/leases", leaseSchema);
    context.out.list(
      items,
      leaseColumns(context.now()),
      "No leases of the hub's own site. `drp status` says whether DHCP is on; other sites keep their leases to themselves.",
    );
  });

  const history = leases
    .command("history")
    .argument("[address|mac]", "only of this address or machine")
    .description("who had which address when, newest first")
    .option("--limit <count>", "how many entries", parseCount, DEFAULT_ENTRIES);
  cli.on<{ limit: number }>(history, async ({ context, args, options }) => {
    const [wanted] = args;
    const query = { ...whose(wanted), limit: options.limit };
    const items = await context.api().list("/leases/history", leaseHistoryEntrySchema, query, options.limit);
    context.out.list(
      items,
      historyColumns(context.now()),
      `Nothing is known${wanted === undefined ? "" : ` of ${wanted}`}: the hub's own site gave no address${wanted === undefined ? "" : " there"} so far.`,
    );
  });

  const release = leases
    .command("release")
    .argument("<address>")
    .description("take an address back: its machine is refused when it asks for it again, and asks anew");
  cli.on(release, async call => {
    const { context } = call;
    const address = firstArgument(call);
    const lease = (await context.api().list("/leases", leaseSchema)).find(held => held.address === address);
    if (lease === undefined) {
      throw new DrpError("not-found", `nobody of the hub's own site holds ${address}`, {
        advice: "See who holds which address: drp leases list",
      });
    }
    await context.api().delete(`/leases/${encodeURIComponent(address)}`);
    const whom = lease.hostname === null ? lease.mac : `${lease.mac} (${lease.hostname})`;
    context.out.done(lease, `${address} is free: ${whom} held it`);
    context.out.remark(
      `A machine that is on goes on using ${address} until it asks for it again: switch it off, or restart its network.`,
    );
  });
}

/** An address has dots; MAC addresses and "id:HEX" have none. */
function whose(wanted: string | undefined): { address?: string; client?: string } {
  if (wanted === undefined) return {};
  return wanted.includes(".") ? { address: wanted } : { client: wanted };
}

function leaseColumns(now: EpochMs): Column<Lease>[] {
  return [
    { title: "ADDRESS", cell: lease => lease.address },
    { title: "MAC", cell: lease => lease.mac },
    { title: "HOST", cell: lease => lease.hostname ?? "-", dropFirst: 2 },
    { title: "SUBNET", cell: lease => lease.subnet, dropFirst: 3 },
    { title: "EXPIRES", cell: lease => formatAge(lease.expiresAt, now), dropFirst: 1 },
  ];
}

function historyColumns(now: EpochMs): Column<LeaseHistoryEntry>[] {
  return [
    { title: "TIME", cell: entry => formatTime(entry.at) },
    { title: "ADDRESS", cell: entry => entry.address },
    { title: "MAC", cell: entry => entry.mac },
    { title: "WHAT", cell: entry => entry.what, tone: entry => (entry.what === "leased" ? "good" : "busy") },
    {
      title: "UNTIL",
      cell: entry => (entry.until === null ? "-" : formatAge(entry.until, now)),
      dropFirst: 1,
    },
    { title: "HOST", cell: entry => entry.hostname ?? "-", dropFirst: 2 },
  ];
}
