import { z } from "zod";
import { DrpError } from "../../core/errors.ts";
import { type Ipv4, parseIpv4 } from "../../core/ipv4.ts";
import { type MacAddress, parseMac } from "../../core/mac.ts";
import type { ClientKey } from "../../dhcp/client-key.ts";
import type { Store } from "../../store/ports.ts";
import { audit } from "../audit.ts";
import type { ApiDeps } from "../deps.ts";
import { defineRoute, EMPTY, json, type Route } from "../route.ts";
import {
  type Lease,
  leaseHistoryEntrySchema,
  leaseSchema,
  pageOf,
  reservationSchema,
  subnetSchema,
} from "../wire.ts";

/** Addresses of the site that the hub runs itself: given, reserved, and who had them when. */
export function leaseRoutes({ addresses, store, clock }: ApiDeps): Route[] {
  return [
    defineRoute({
      method: "get",
      path: "/api/v1/leases",
      role: "viewer",
      summary: "Lists the addresses that the local site has given",
      status: 200,
      answer: pageOf(leaseSchema),
      handle: async () => json({ items: await addresses.leases(), next: null }),
    }),
    defineRoute({
      method: "get",
      path: "/api/v1/leases/history",
      role: "viewer",
      summary: "Says who had which address when, newest first",
      query: z.strictObject({
        address: z.string().max(15).optional(),
        client: z.string().max(600).optional().describe("MAC address, or id:HEX"),
        limit: z.coerce.number().int().min(1).max(10_000).default(100),
      }),
      status: 200,
      answer: pageOf(leaseHistoryEntrySchema),
      handle: async ({ query: { address, client, limit } }) =>
        json({
          items: await addresses.history({
            address: address === undefined ? null : requireAddress("query.address", address),
            client: client === undefined ? null : requireClient(client),
            limit,
          }),
          next: null,
        }),
    }),
    defineRoute({
      method: "delete",
      path: "/api/v1/leases/{address}",
      role: "operator",
      summary: "Takes an address back; its client is refused when it asks for it again, and asks anew",
      status: 204,
      handle: async ({ param, caller }) => {
        const address = requireAddress("address", param("address"));
        const lease = await addresses.release(address);
        if (lease === undefined) {
          throw new DrpError("not-found", `nobody of the local site holds ${param("address")}`, {
            advice: "See who holds which address: drp leases list",
          });
        }
        await store.commit([
          audit({
            kind: "lease.revoked",
            at: clock(),
            caller,
            did: `took ${lease.address} back from ${lease.mac}${lease.hostname === null ? "" : ` (${lease.hostname})`}`,
            facts: { address: lease.address, client: lease.mac },
            ...(await whoseLease(store, lease)),
          }),
        ]);
        return EMPTY;
      },
    }),
    defineRoute({
      method: "get",
      path: "/api/v1/subnets",
      role: "viewer",
      summary: "Lists the networks that the local site gives addresses in",
      status: 200,
      answer: pageOf(subnetSchema),
      handle: async () => json({ items: await addresses.subnets(), next: null }),
    }),
    defineRoute({
      method: "get",
      path: "/api/v1/reservations",
      role: "viewer",
      summary: "Lists the addresses that the local site keeps for one machine each",
      status: 200,
      answer: pageOf(reservationSchema),
      handle: async () => json({ items: await addresses.reservations(), next: null }),
    }),
  ];
}

function requireAddress(what: string, text: string): Ipv4 {
  const address = parseIpv4(text);
  if (address !== undefined) return address;
  throw new DrpError("request.invalid", `${what}: ${text} is not an IPv4 address`, {
    advice: "Write it as 10.0.0.7.",
  });
}

function requireClient(text: string): ClientKey {
  const mac = parseMac(text);
  if (mac !== undefined) return mac;
  if (/^id:([0-9a-f]{2})+$/i.test(text)) return text.toLowerCase() as ClientKey;
  throw new DrpError("request.invalid", `query.client: ${text} is not a MAC address`, {
    advice: "Write it as 52:54:00:12:34:56, or as id:HEX where the hardware has none.",
  });
}

/** Onto the machine's timeline where it is one of the fleet. */
async function whoseLease(store: Store, { mac: text }: Lease) {
  const mac: MacAddress | undefined = parseMac(text);
  const machine = mac === undefined ? undefined : await store.findMachine(mac);
  return machine === undefined ? {} : { machine };
}
