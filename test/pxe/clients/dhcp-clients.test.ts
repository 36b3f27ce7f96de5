/** DHCP clients that others wrote, against our server; what both said is kept as text in test/fixtures/exchanges. */
import { rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { formatIpv4 } from "../../../src/core/ipv4.ts";
import { type Capture, captureIn } from "../../helpers/pcap/capture-in.ts";
import { makeNetwork, runIn, type TestNetwork } from "../helpers/network.ts";
import { type BootServer, startBootServer } from "./helpers/boot-server.ts";
import { expectExchange } from "./helpers/golden.ts";
import { itWith, whyNoCaptures } from "./helpers/programs.ts";
import { runUntilTestEnds } from "./helpers/running-program.ts";

const missing = whyNoCaptures();
if (missing !== undefined) console.warn(`skipped: exchanges with DHCP clients: ${missing}`);

/** Says what happened, and gives the interface the address: renewals and releases then come from it. */
const CLIENT_SCRIPT = `#!/bin/sh
case "\${reason:-$1}" in
  bound|renew) ip addr add "$ip/16" dev "$interface" ;;
  BOUND|RENEW|REBOOT) ip addr add "$new_ip_address/16" dev "$interface" ;;
  deconfig|PREINIT|RELEASE) ip -4 addr flush dev "$interface"; ip link set "$interface" up ;;
esac
echo "\${reason:-$1} \${new_ip_address:-$ip} $boot_file"
`;

describe.skipIf(missing !== undefined)("DHCP clients", () => {
  let network: TestNetwork;
  let server: BootServer;
  let capture: Capture | undefined;

  beforeAll(async () => {
    network = await makeNetwork();
  });
  afterAll(async () => await network[Symbol.asyncDispose]());

  beforeEach(async () => {
    await runIn(network.clientNamespace, "ip", "addr", "flush", "dev", "lan0");
    server = await startBootServer(network);
    await writeFile(join(server.folder, "client.sh"), CLIENT_SCRIPT, { mode: 0o755 });
    capture = await captureIn(network.serverNamespace, "lan0");
  });
  afterEach(async () => {
    await capture?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  const leased = async () =>
    (await server.boot.ask("list-leases", null)).map(lease => formatIpv4(lease.address));

  const udhcpc = async (...args: string[]) => {
    const always = [
      "-f",
      "-n",
      "-q",
      "-t",
      "2",
      "-T",
      "5",
      "-i",
      "lan0",
      "-s",
      join(server.folder, "client.sh"),
    ];
    return await runIn(network.clientNamespace, "busybox", "udhcpc", ...always, ...args);
  };

  itWith("busybox", "udhcpc gets an address and the options of its subnet", async () => {
    expect(await udhcpc()).toContain("bound 10.77.1.0");
    await expectExchange(capture, "udhcpc");
  });

  itWith("busybox", "udhcpc as a BIOS ROM gets a boot file, renews, and gives its address back", async () => {
    const rom = ["-V", "PXEClient:Arch:00000:UNDI:002001", "-x", "0x5d:0000", "-x", "hostname:edge-1"];
    const always = ["-f", "-T", "5", "-i", "lan0", "-s", join(server.folder, "client.sh"), "-O", "bootfile"];
    await using client = runUntilTestEnds(network.clientNamespace, ["busybox", "udhcpc", ...always, ...rom]);
    await client.untilPrinted("bound 10.77.1.0 undionly.kpxe");
    client.signal("SIGUSR1");
    await client.untilPrinted("renew 10.77.1.0 undionly.kpxe");
    client.signal("SIGUSR2");
    await server.untilEvent(event => event.summary.startsWith("RELEASE"));
    expect(await leased()).toEqual([]);
    await expectExchange(capture, "udhcpc-rom-renew-release");
  });

  itWith("dhclient", "dhclient gets an address, remembers it after a reboot, and gives it back", async () => {
    const files = [
      "-lf",
      join(server.folder, "leases"),
      "-pf",
      join(server.folder, "pid"),
      "-cf",
      "/dev/null",
    ];
    const program = ["dhclient", "-4", "-sf", join(server.folder, "client.sh"), ...files];
    await writeFile(join(server.folder, "leases"), "");
    for (const reason of ["BOUND", "REBOOT"]) {
      await using client = runUntilTestEnds(network.clientNamespace, [...program, "-d", "lan0"]);
      await client.untilPrinted(`${reason} 10.77.1.0`);
      // Its lease file is written by then.
      await client.untilPrinted("bound to 10.77.1.0");
    }
    expect(await leased()).toEqual(["10.77.1.0"]);
    // It would end the process that it finds there, which is gone.
    await rm(join(server.folder, "pid"));
    await using client = runUntilTestEnds(network.clientNamespace, [...program, "-d", "-r", "lan0"]);
    await client.untilPrinted("DHCPRELEASE");
    await server.untilEvent(event => event.summary.startsWith("RELEASE"));
    expect(await leased()).toEqual([]);
    await expectExchange(capture, "dhclient");
  });

  itWith("perfdhcp", "perfdhcp's first four messages", async () => {
    const args = ["-4", "-l", "lan0", "-r", "1", "-R", "1", "-n", "1", "-W", "1500000", "10.77.0.1"];
    await runIn(network.clientNamespace, "ip", "addr", "add", "10.77.0.9/16", "dev", "lan0");
    // Its exit code says whether it reached the rate that it was asked for.
    const printed = await runIn(network.clientNamespace, "perfdhcp", ...args).catch(
      (error: { stdout: string }) => error.stdout,
    );
    expect(printed).toContain("non unique addresses: 0");
    await expectExchange(capture, "perfdhcp");
  });

  it("npm's dhcp client gets an offer; its REQUEST names neither a server nor an address", async () => {
    const script = `
      const dhcp = require(${JSON.stringify(createRequire(import.meta.url).resolve("dhcp"))});
      const client = dhcp.createClient({ mac: "02-00-00-00-77-02" });
      client.on("message", reply => {
        console.log(reply.yiaddr, reply.options[54]);
        // After its REQUEST has gone out.
        setImmediate(() => client.close());
      });
      client.listen(68, "0.0.0.0", () => client.sendDiscover());`;
    // It sends to 255.255.255.255 from a socket without an address: a route must lead there.
    await runIn(network.clientNamespace, "ip", "addr", "add", "10.77.0.9/16", "dev", "lan0");
    await runIn(network.clientNamespace, "ip", "route", "replace", "255.255.255.255", "dev", "lan0");
    const printed = await runIn(network.clientNamespace, process.execPath, "-e", script);
    expect(printed.trim()).toBe("10.77.1.0 10.77.0.1");
    await server.untilEvent(event => event.kind === "dhcp.silent");
    await expectExchange(capture, "npm-dhcp");
  });
});
