/** What the routes need from the rest of the hub. */
import type { RandomBytes } from "../core/ids.ts";
import type { Clock } from "../core/time.ts";
import type { ImageRegistry } from "../images/io/registry.ts";
import type { Store } from "../store/ports.ts";
import type { Lease, Status } from "./wire.ts";

export interface ApiDeps {
  readonly store: Store;
  readonly registry: Pick<ImageRegistry, "ingestBundle" | "remove">;
  /** Addresses that the local site has given. */
  readonly leases: () => Promise<readonly Lease[]>;
  readonly status: () => Status;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
}
