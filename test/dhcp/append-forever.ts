/**
 * Leases addresses over and over in a journal that is made compact all the time, until it is killed. Prints the number of each
 * lease once it is on disk.
 *
 * Arguments: the journal's path.
 */
import type { Ipv4 } from "../../src/core/ipv4.ts";
import { macFromBytes } from "../../src/core/mac.ts";
import { openLeaseJournal } from "../../src/dhcp/io/lease-journal.ts";
import type { DurableChange } from "../../src/dhcp/lease-change.ts";

const ADDRESSES = 40;
const [path = ""] = process.argv.slice(2);
const live = new Map<number, DurableChange>();
const opened = await openLeaseJournal(path, 20_000);
for (const change of opened.changes) if (change.kind === "lease") live.set(change.lease.address, change);
let number = Math.max(0, ...[...live.values()].map(({ at }) => at ?? 0));
const journal = await opened.start(() => [...live.values()]);
await Promise.all(Array.from({ length: 8 }, () => leaseForever()));

async function leaseForever(): Promise<void> {
  for (;;) {
    const at = ++number;
    const address = (at % ADDRESSES) as Ipv4;
    const client = macFromBytes(Uint8Array.of(2, 0, 0, 0, 0, at % ADDRESSES));
    const change: DurableChange = {
      kind: "lease",
      at,
      lease: { address, client, hostname: null, expiresAt: at + 1 },
    };
    live.set(address, change);
    await journal.append(change);
    process.stdout.write(`${at}\n`);
  }
}
