/** The boot process on real sockets, asked by clients that others wrote. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { formatIpv4 } from "../../src/core/ipv4.ts";
import { macFromBytes } from "../../src/core/mac.ts";
import { decodeJournal, encodeChange, JOURNAL_HEADER } from "../../src/dhcp/lease-journal.ts";
import type { BootProcessConfig, FromBootProcess } from "../../src/pxe/boot-process-messages.ts";
import { type BootProcess, startBootProcess } from "../../src/pxe/io/boot-process.ts";
import { bootSettings, ipv4, subnet } from "./helpers/boot-process.ts";
import { makeNetwork, runIn, type TestNetwork, whyNoNamespaces, whyNoProgram } from "./helpers/network.ts";

const run = promisify(execFile);
const LOADER = randomBytes(200_000);
const MAIN = new URL("../../src/main.ts", import.meta.url).pathname;
const noNamespaces = whyNoNamespaces();
if (noNamespaces !== undefined) console.warn(`skipped: the boot process on real sockets: ${noNamespaces}`);

/** A test that needs a program; skipped with the reason where it is not there. */
function itWith(program: string, name: string, test: () => Promise<void>): void {
  const missing = whyNoProgram(program);
  it.skipIf(missing !== undefined)(
    missing === undefined ? name : `${name} (${missing})`,
    { timeout: 30_000 },
    test,
  );
}

const PORTS = { dhcp: 67, proxyDhcp: 4011, tftp: 69 };

describe.skipIf(noNamespaces !== undefined)("the boot process", () => {
  let network: TestNetwork;
  let folder = "";
  let boot: BootProcess;
  let events: string[] = [];

  beforeAll(async () => {
    network = await makeNetwork();
  });
  afterAll(async () => await network[Symbol.asyncDispose]());

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "drp-boot-"));
    await writeFile(join(folder, "ipxe.efi"), LOADER);
    await writeFile(
      join(folder, "udhcpc.sh"),
      '#!/bin/sh\n[ "$1" = bound ] && echo "bound $ip $serverid $boot_file"\nexit 0\n',
      {
        mode: 0o755,
      },
    );
    boot = await start();
  });
  afterEach(async () => {
    await boot.stop();
    await rm(folder, { recursive: true });
  });

  function config(changes: Partial<BootProcessConfig> = {}): BootProcessConfig {
    return {
      interfaces: [{ name: "lan0", address: ipv4("10.77.0.1") }],
      mode: "server",
      ports: PORTS,
      leaseJournal: join(folder, "leases.journal"),
      settings: bootSettings({
        subnets: [{ ...subnet("10.77"), pools: [{ first: ipv4("10.77.1.0"), last: ipv4("10.77.9.255") }] }],
        tftpFiles: new Map([["ipxe.efi", join(folder, "ipxe.efi")]]),
      }),
      ...changes,
    };
  }

  const command = (): [string, ...string[]] => [
    "ip",
    "netns",
    "exec",
    network.serverNamespace,
    process.execPath,
    MAIN,
    "boot-process",
  ];

  async function start(changes: Partial<BootProcessConfig> = {}): Promise<BootProcess> {
    events = [];
    return await startBootProcess({
      command: command(),
      config: config(changes),
      onEvent: (mac, event) => events.push(`${mac} ${event.kind} ${event.summary}`),
      scriptFor: async () => "",
      onExit: how => events.push(`exit ${how}`),
    });
  }

  /** "bound ADDRESS SERVER FILE" */
  const udhcpc = async (namespace: string, ...args: string[]) => {
    const always = ["-f", "-n", "-q", "-t", "2", "-T", "1", "-i", "lan0", "-s", join(folder, "udhcpc.sh")];
    const printed = await runIn(namespace, "busybox", "udhcpc", ...always, ...args);
    return printed
      .split("\n")
      .find(line => line.startsWith("bound"))
      ?.trim();
  };

  itWith("busybox", "leases an address to udhcpc from the right source, and tells of it", async () => {
    expect(await udhcpc(network.clientNamespace)).toBe("bound 10.77.1.0 10.77.0.1");
    const [lease] = await boot.ask("list-leases", null);
    expect(lease && formatIpv4(lease.address)).toBe("10.77.1.0");
    expect(events.map(event => event.split(" ")[1])).toEqual(["dhcp.offer", "dhcp.ack"]);
  });

  itWith(
    "busybox",
    "gives a client that says it is a BIOS ROM its loader, and takes new settings at once",
    async () => {
      // 93 = 0: BIOS. busybox sends the vendor class that it is given.
      const rom = ["-V", "PXEClient:Arch:00000:UNDI:002001", "-x", "0x5d:0000", "-O", "bootfile"];
      expect(await udhcpc(network.clientNamespace, ...rom)).toBe("bound 10.77.1.0 10.77.0.1 undionly.kpxe");
      boot.configure({ ...config().settings, unknown: { kind: "silent", reason: "a test" } });
      await boot.ask("list-leases", null);
      expect(await udhcpc(network.clientNamespace, ...rom)).toBe("bound 10.77.1.0 10.77.0.1");
      expect(events.at(-1)).toContain("nothing to boot: a test");
    },
  );

  itWith(
    "busybox",
    "sends its broadcasts by its own interface only: the other network hears nothing",
    async () => {
      await expect(udhcpc(network.otherNamespace)).rejects.toThrow("no lease");
      expect(await boot.ask("list-leases", null)).toEqual([]);
      expect(await udhcpc(network.clientNamespace)).toContain("bound");
    },
  );

  itWith("busybox", "never gives an address twice, though it is killed and started again", async () => {
    const first = await udhcpc(network.clientNamespace);
    const killed = spawn("ip", ["netns", "pids", network.serverNamespace]);
    const [pids] = (await once(killed.stdout, "data")) as [Buffer];
    for (const pid of pids.toString().split("\n").filter(Boolean)) process.kill(Number(pid), "SIGKILL");
    await until(() => events.some(event => event.startsWith("exit")));
    boot = await start();
    expect(await boot.ask("list-leases", null)).toHaveLength(1);
    await runIn(network.clientNamespace, "ip", "link", "set", "lan0", "address", "02:00:00:00:77:01");
    expect(await udhcpc(network.clientNamespace)).toBe("bound 10.77.1.1 10.77.0.1");
    expect(first).toBe("bound 10.77.1.0 10.77.0.1");
  });

  itWith(
    "busybox",
    "sends no ACK for a lease that a full disk cannot hold, and goes on once there is room",
    async () => {
      const disk = join(folder, "disk");
      await mkdir(disk);
      await run("mount", ["-t", "tmpfs", "-o", "size=16k", "tmpfs", disk]);
      try {
        const path = join(disk, "leases.journal");
        // Its one page of 4 KiB is full but for six bytes: the next line is torn, then refused.
        await writeFile(path, journalOfSize(4090));
        await boot.stop();
        boot = await start({ leaseJournal: path });
        const known = (await boot.ask("list-leases", null)).length;
        await writeFile(join(disk, "filler"), Buffer.alloc(3 * 4096));
        await expect(udhcpc(network.clientNamespace)).rejects.toThrow("no lease");
        expect(events.some(event => event.includes("dhcp.failed") && event.includes("ENOSPC"))).toBe(true);
        expect(await boot.ask("list-leases", null)).toHaveLength(known);
        await rm(join(disk, "filler"));
        expect(await udhcpc(network.clientNamespace)).toContain("bound");
        // The new file was begun with the change already in memory, and got its line as well: twice is once.
        const kept = decodeJournal(await readFile(path), path).filter(change => change.kind === "lease");
        expect(new Set(kept.map(change => change.lease.address)).size).toBe(known + 1);
      } finally {
        await boot.stop();
        await run("umount", [disk]);
      }
    },
  );

  itWith("dhclient", "leases an address to dhclient", async () => {
    const files = [
      "-lf",
      join(folder, "dhclient.leases"),
      "-pf",
      join(folder, "dhclient.pid"),
      "-cf",
      "/dev/null",
    ];
    await writeFile(join(folder, "dhclient.leases"), "");
    const program = [
      "netns",
      "exec",
      network.clientNamespace,
      "dhclient",
      "-4",
      "-d",
      "-sf",
      "/bin/true",
      ...files,
      "lan0",
    ];
    const client = spawn("ip", program, {
      stdio: "ignore",
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
    });
    await until(() => events.some(event => event.includes("dhcp.ack")));
    const exited = once(client, "exit");
    client.kill("SIGKILL");
    await exited;
    expect(await boot.ask("list-leases", null)).toHaveLength(1);
  });

  itWith("perfdhcp", "gives 600 clients of perfdhcp 600 addresses, each on disk before its ACK", async () => {
    const args = ["-4", "-l", "lan0", "-r", "300", "-R", "600", "-n", "600", "-W", "500000", "10.77.0.1"];
    const printed = await runIn(network.clientNamespace, "perfdhcp", ...args).catch(
      (error: { stdout: string }) => error.stdout,
    );
    const received = [...printed.matchAll(/received packets: (\d+)/g)].map(match => Number(match[1]));
    expect(printed).toContain("non unique addresses: 0");
    expect(received[1]).toBeGreaterThan(590);
    const path = join(folder, "leases.journal");
    const kept = decodeJournal(await readFile(path), path).filter(change => change.kind === "lease");
    expect(kept.length).toBeGreaterThanOrEqual(received[1] ?? 0);
  });

  it("makes npm's dhcp client an offer", async () => {
    // Its REQUEST names neither a server nor an address, so RFC 2131 knows no answer to it: the offer is all there is.
    const script = `
      const dhcp = require(${JSON.stringify(createRequire(import.meta.url).resolve("dhcp"))});
      const client = dhcp.createClient({ mac: "02-00-00-00-77-02" });
      client.on("message", reply => { console.log(reply.yiaddr, reply.options[54]); process.exit(0); });
      client.listen(68, "0.0.0.0", () => client.sendDiscover());`;
    // It sends to 255.255.255.255 from a socket without an address: a route must lead there.
    await runIn(network.clientNamespace, "ip", "route", "replace", "255.255.255.255", "dev", "lan0");
    const printed = await runIn(network.clientNamespace, process.execPath, "-e", script);
    expect(printed.trim()).toBe("10.77.1.0 10.77.0.1");
  });

  itWith("tftp", "gives tftp-hpa a loader byte for byte", async () => {
    const local = join(folder, "fetched");
    await runIn(network.clientNamespace, "tftp", "-m", "binary", "10.77.0.1", "-c", "get", "ipxe.efi", local);
    expect((await readFile(local)).equals(LOADER)).toBe(true);
  });

  itWith("atftp", "gives atftp a loader in windows of 16 blocks", async () => {
    const local = join(folder, "fetched");
    const options = ["--option", "blksize 1428", "--option", "windowsize 16", "--option", "tsize"];
    await runIn(
      network.clientNamespace,
      "atftp",
      ...options,
      "-g",
      "-r",
      "ipxe.efi",
      "-l",
      local,
      "10.77.0.1",
    );
    expect((await readFile(local)).equals(LOADER)).toBe(true);
  });

  it("says which ports a second server cannot have, and runs the rest", async () => {
    const second = await start({
      ports: { ...PORTS, tftp: 6969 },
      leaseJournal: join(folder, "second.journal"),
    });
    expect(second.services).toMatchObject([
      { service: "dhcp", state: "off", error: { code: "port.in-use" } },
      { service: "tftp", state: "on" },
    ]);
    await second.stop();
  });

  it("asks for no DHCP port while there is no subnet to give addresses from", async () => {
    const settings = { ...config().settings, subnets: [] };
    // The first one has the port: had this one asked, it would say so.
    const second = await start({
      ports: { ...PORTS, tftp: 6969 },
      leaseJournal: join(folder, "second.journal"),
      settings,
    });
    expect(second.services[0]).toMatchObject({
      state: "off",
      error: { message: "no subnet to give addresses from" },
    });
    await second.stop();
  });

  it("leaves DHCP off over a damaged lease journal, names file and offset, and serves TFTP", async () => {
    const path = join(folder, "damaged.journal");
    const journal = await readFile(join(folder, "leases.journal"));
    await writeFile(path, Buffer.concat([Buffer.from("rotten\n"), journal]));
    const second = await start({ ports: { ...PORTS, tftp: 6969 }, leaseJournal: path });
    expect(second.services[0]).toMatchObject({
      state: "off",
      error: { code: "lease-journal.damaged", message: `lease journal ${path} is damaged at byte 0` },
    });
    await second.stop();
  });

  it("ends when its parent is gone", async () => {
    const [program, ...args] = command();
    const child: ChildProcess = spawn(program, args, {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      serialization: "advanced",
    });
    child.send({
      kind: "start",
      config: config({ ports: { ...PORTS, tftp: 6970 }, leaseJournal: join(folder, "third.journal") }),
    });
    const [started] = (await once(child, "message")) as [FromBootProcess];
    expect(started.kind).toBe("services");
    child.disconnect();
    expect(await once(child, "exit")).toEqual([0, null]);
  });
});

/** A journal of live leases that has exactly so many bytes. */
function journalOfSize(sizeBytes: number): string {
  let text = JOURNAL_HEADER;
  const line = (number: number, hostname: string) => {
    const mac = macFromBytes(Uint8Array.of(2, 0, 0, 0, 1, number));
    return encodeChange({
      kind: "lease",
      at: 0,
      lease: { address: ipv4(`10.77.2.${number}`), client: mac, hostname, expiresAt: 4_000_000_000_000 },
    });
  };
  let number = 1;
  while (text.length < sizeBytes - 300) text += line(number++, "");
  return text + line(number, "h".repeat(sizeBytes - text.length - line(number, "").length));
}

/** Events come over IPC: looks again at each turn of the event loop. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(resolve => setImmediate(resolve));
}
