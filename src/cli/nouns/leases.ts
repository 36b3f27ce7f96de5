/** `drp leases list` */
import { type Lease, leaseSchema } from "../../api/wire.ts";
import type { EpochMs } from "../../core/time.ts";
import type { Cli } from "../cli.ts";
import type { Column } from "../format/table.ts";
import { formatAge } from "../format/words.ts";

export function addLeases(cli: Cli): void {
  const leases = cli.root.command("leases").description("addresses that the local site has given out");
  cli.on(leases.command("list").description("every lease"), async ({ context }) => {
    const items = await context.api().list("/leases", leaseSchema);
    context.out.list(items, columns(context.now()), "No leases. `drp status` says whether DHCP is on.");
  });
}

function columns(now: EpochMs): Column<Lease>[] {
  return [
    { title: "ADDRESS", cell: lease => lease.address },
    { title: "MAC", cell: lease => lease.mac },
    { title: "HOST", cell: lease => lease.hostname ?? "-", dropFirst: 2 },
    { title: "SUBNET", cell: lease => lease.subnet, dropFirst: 3 },
    { title: "EXPIRES", cell: lease => formatAge(lease.expiresAt, now), dropFirst: 1 },
  ];
}
