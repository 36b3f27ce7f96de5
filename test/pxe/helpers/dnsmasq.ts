/** dnsmasq as a DHCP server that knows nothing of booting: the router of a site. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startProgram } from "../clients/helpers/running-program.ts";

/** @param range "10.77.200.1,10.77.200.50" */
export async function startDnsmasq(
  namespace: string,
  interfaceName: string,
  range: string,
): Promise<AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), "drp-dnsmasq-"));
  const program = startProgram(namespace, [
    "dnsmasq",
    ..."--keep-in-foreground --log-facility=- --log-dhcp --conf-file=/dev/null --port=0 --user=root".split(
      " ",
    ),
    "--bind-interfaces",
    "--no-ping",
    `--interface=${interfaceName}`,
    `--dhcp-range=${range},255.255.0.0,10m`,
    `--dhcp-leasefile=${join(folder, "leases")}`,
    `--pid-file=${join(folder, "pid")}`,
  ]);
  await program.untilPrinted("DHCP, IP range");
  return {
    [Symbol.asyncDispose]: async () => {
      await program[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}
