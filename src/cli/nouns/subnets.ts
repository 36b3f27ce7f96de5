/** `drp subnets list` and `drp reservations list`: what the hub's own site has to give. Both stand in drp.yaml. */
import { type Reservation, reservationSchema, type Subnet, subnetSchema } from "../../api/wire.ts";
import { formatDuration } from "../../core/time.ts";
import type { Cli } from "../cli.ts";
import type { Column } from "../format/table.ts";

const WHERE = "They stand in drp.yaml of the hub (dhcp.subnets, docs/config.md); other sites have their own.";

export function addSubnets(cli: Cli): void {
  const subnets = cli.root
    .command("subnets")
    .description("networks that the hub's own site gives addresses in");
  cli.on(
    subnets.command("list").description("every network, and what is left in it"),
    async ({ context }) => {
      const items = await context.api().list("/subnets", subnetSchema);
      context.out.list(items, subnetColumns, `No subnets. ${WHERE}`);
    },
  );

  const reservations = cli.root
    .command("reservations")
    .description("addresses that the hub's own site keeps for one machine each");
  cli.on(reservations.command("list").description("every reservation"), async ({ context }) => {
    const items = await context.api().list("/reservations", reservationSchema);
    context.out.list(items, reservationColumns, `No reservations. ${WHERE}`);
  });
}

const subnetColumns: Column<Subnet>[] = [
  { title: "NETWORK", cell: subnet => subnet.network },
  { title: "POOLS", cell: subnet => subnet.pools.join(", "), dropFirst: 2, shrinkTo: 15 },
  { title: "SIZE", cell: subnet => String(subnet.size), align: "right" },
  { title: "LEASED", cell: subnet => String(subnet.leased), align: "right" },
  {
    title: "FREE",
    cell: subnet => String(subnet.free),
    align: "right",
    tone: subnet => (subnet.free === 0 && subnet.size > 0 ? "bad" : "plain"),
  },
  { title: "RESERVED", cell: subnet => String(subnet.reservations), align: "right", dropFirst: 1 },
  { title: "LEASES LAST", cell: subnet => formatDuration(subnet.leaseSeconds * 1000), dropFirst: 3 },
  { title: "ROUTER", cell: subnet => subnet.router ?? "-", dropFirst: 4 },
];

const reservationColumns: Column<Reservation>[] = [
  { title: "ADDRESS", cell: reservation => reservation.address },
  { title: "FOR", cell: reservation => reservation.for },
  { title: "HOST", cell: reservation => reservation.hostname ?? "-", dropFirst: 1 },
  {
    title: "LEASED",
    cell: reservation => (reservation.leased ? "yes" : "no"),
    tone: reservation => (reservation.leased ? "good" : "quiet"),
  },
  { title: "SUBNET", cell: reservation => reservation.subnet, dropFirst: 2 },
];
