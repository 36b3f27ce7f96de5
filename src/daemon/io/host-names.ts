/** The names and addresses under which clients may reach this host. */
import { hostname, networkInterfaces } from "node:os";

/** @param extra `names` of the configuration */
export function hostNames(extra: readonly string[]): string[] {
  const addresses = Object.values(networkInterfaces())
    .flatMap(addresses => addresses ?? [])
    // Link-local addresses need a zone, which no certificate can carry.
    .filter(({ address, family }) => family === "IPv4" || !address.startsWith("fe80:"))
    .map(({ address }) => address);
  return [...new Set(["localhost", "127.0.0.1", "::1", hostname(), ...addresses, ...extra])];
}
