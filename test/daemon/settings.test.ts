import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { DrpError } from "../../src/core/errors.ts";
import { formatIpv4, parseIpv4 } from "../../src/core/ipv4.ts";
import { listSettingKeys } from "../../src/daemon/config-keys.ts";
import { decideSettings, type SettingsInput } from "../../src/daemon/settings.ts";
import { describeDhcpSettings, settingsToPlain } from "../../src/daemon/show-settings.ts";

function decide(text?: string, overlays: Partial<Pick<SettingsInput, "env" | "flags">> = {}) {
  return decideSettings({
    file: text === undefined ? undefined : { path: "drp.yaml", text },
    env: {},
    flags: {},
    defaults: { data: "/data", bootFiles: "/boot-files" },
    ...overlays,
  });
}

function mistakes(text: string, overlays?: Parameters<typeof decide>[1]): string[] {
  try {
    decide(text, overlays);
  } catch (error) {
    if (error instanceof DrpError && error.code === "config.invalid") return error.message.split("\n");
    throw error;
  }
  return [];
}

test("without any configuration there are defaults, and no subnet", () => {
  expect(decide()).toEqual({
    data: "/data",
    names: [],
    api: { host: null, port: 8092 },
    boot: { port: 8091, files: "/boot-files", loader: "auto" },
    machineChannel: { port: 8443 },
    siteChannel: { port: 8444 },
    tftp: { port: 69 },
    dhcp: { mode: "server", interfaces: [], ports: { dhcp: 67, proxyDhcp: 4011 }, classes: [], subnets: [] },
    site: { name: "local", unknown: null, cacheBytes: null },
    images: { store: { kind: "folder" }, prune: null },
    log: { level: "info" },
  });
  expect(decide("")).toEqual(decide());
});

test("a flag wins over a variable, a variable over the file", () => {
  const text = "api: { port: 1, host: 127.0.0.1 }\nmachineChannel: { port: 2 }\n";
  const settings = decide(text, {
    env: { DRP_API_PORT: "3", DRP_MACHINE_CHANNEL_PORT: "4", DRP_PORT: "tcp://10.0.0.1:80" },
    flags: { "api-port": "5" },
  });
  expect(settings.api).toEqual({ host: "127.0.0.1", port: 5 });
  expect(settings.machineChannel).toEqual({ port: 4 });
});

test("a subnet is parsed into ranges, reservations and seconds", () => {
  const { dhcp } = decide(`
dhcp:
  interfaces: [eth1]
  subnets:
    - network: 10.0.0.0/24
      pools: [10.0.0.10-10.0.0.99, 10.0.0.120]
      exclude: [10.0.0.20]
      router: 10.0.0.1
      leaseMinutes: 60
      reservations:
        - { mac: 52-54-00-12-34-56, address: 10.0.0.5 }
`);
  expect(dhcp.interfaces).toEqual(["eth1"]);
  const [subnet] = dhcp.subnets;
  expect(subnet?.pools.map(({ first, last }) => [formatIpv4(first), formatIpv4(last)])).toEqual([
    ["10.0.0.10", "10.0.0.99"],
    ["10.0.0.120", "10.0.0.120"],
  ]);
  expect(subnet).toMatchObject({
    leaseSeconds: 3600,
    dns: [],
    reservations: [{ client: { mac: "52:54:00:12:34:56" } }],
  });
});

test("options of every subnet stand behind the subnet's own; classes and reservations have theirs", () => {
  const { dhcp } = decide(`
dhcp:
  interfaces: [eth1, eth2]
  port: 1067
  options: { mtu: 1400, domainName: example.org }
  classes:
    - { name: pi, match: { macPrefix: B8-27-EB, architecture: 0 }, options: { "224": "hex:0a0b" } }
  subnets:
    - network: 10.0.0.0/24
      options: { mtu: 9000 }
      reservations:
        - { clientId: "hex:01FF", address: 10.0.0.5, hostname: till-1, options: { rootPath: /x } }
        - { circuitId: "text:ge-0/0/7", remoteId: "hex:00aa", address: 10.0.0.6 }
`);
  expect(dhcp).toMatchObject({
    mode: "server",
    interfaces: ["eth1", "eth2"],
    ports: { dhcp: 1067, proxyDhcp: 4011 },
    classes: [{ name: "pi", match: { macPrefix: "b8:27:eb", architecture: 0 } }],
  });
  const [subnet] = dhcp.subnets;
  expect(subnet?.options.map(([code, value]) => [code, Buffer.from(value).toString("hex")])).toEqual([
    [26, "0578"],
    [15, Buffer.from("example.org").toString("hex")],
    [26, "2328"],
  ]);
  expect(subnet?.reservations).toEqual([
    {
      client: { kind: "client-id", clientId: "01ff" },
      address: parseIpv4("10.0.0.5"),
      hostname: "till-1",
      options: [[17, expect.anything()]],
    },
    {
      client: { kind: "circuit", circuitId: Buffer.from("ge-0/0/7").toString("hex"), remoteId: "00aa" },
      address: parseIpv4("10.0.0.6"),
      hostname: null,
      options: [],
    },
  ]);
});

test("a proxy is named by file, variable or flag", () => {
  const file = "dhcp: { interfaces: [eth0] }\n";
  expect(decide("dhcp: { mode: proxy, interfaces: [eth0] }\n").dhcp.mode).toBe("proxy");
  expect(decide(file, { env: { DRP_DHCP_MODE: "proxy" } }).dhcp.mode).toBe("proxy");
  expect(decide(file, { flags: { "dhcp-mode": "proxy", "dhcp-proxy-port": "5011" } }).dhcp).toMatchObject({
    mode: "proxy",
    ports: { dhcp: 67, proxyDhcp: 5011 },
  });
  expect(mistakes("", { env: { DRP_DHCP_MODE: "proxy" } })[0]).toContain("DRP_DHCP_MODE: dhcp.mode:");
});

test("config check shows what the program made of the file, in words and as text", () => {
  const settings = decide(`
dhcp:
  interfaces: [eth1]
  classes: [{ name: ipxe, match: { userClass: iPXE }, options: { 224: "hex:0a0b" } }]
  subnets:
    - network: 10.0.0.0/24
      pools: [10.0.0.10-10.0.0.19]
      reservations: [{ circuitId: "hex:01", remoteId: "hex:02", address: 10.0.0.12 }]
`);
  expect(describeDhcpSettings(settings)).toEqual([
    ["DHCP", "server on eth1 (67/udp)"],
    ["subnet", "10.0.0.0/24: 9 addresses to give, 1 reservation, leases of 12 h"],
    ["class", "ipxe: userClass iPXE; 1 option"],
  ]);
  expect(settingsToPlain(settings)).toMatchObject({
    dhcp: {
      classes: [{ options: { 224: "hex:0a0b" } }],
      subnets: [
        { network: "10.0.0.0/24", pools: ["10.0.0.10-10.0.0.19"], reservations: [{ address: "10.0.0.12" }] },
      ],
    },
  });
});

test("the examples of docs/config.md are good", () => {
  const page = readFileSync("docs/config.md", "utf8");
  const examples = [...page.matchAll(/```yaml\n([^`]+)```/g)].map(([, yaml = ""]) => yaml);
  expect(examples.length).toBeGreaterThan(1);
  for (const yaml of examples) expect(mistakes(yaml)).toEqual([]);
});

test("an S3 store has every default decided, and no secret in it", () => {
  const text =
    "images:\n  store: { kind: s3, bucket: images, prefix: drp, cacheSize: 1GiB, credentialsFile: /c }\n";
  const settings = decide(text, {
    env: { DRP_IMAGES_STORE_ENDPOINT: "https://s3.example.com", AWS_SECRET_ACCESS_KEY: "hidden" },
    flags: { "images-store-region": "eu-1" },
  });
  expect(settings.images.store).toEqual({
    kind: "s3",
    endpoint: "https://s3.example.com",
    region: "eu-1",
    bucket: "images",
    prefix: "drp/",
    cacheBytes: 1024 ** 3,
    credentialsFile: "/c",
  });
  expect(JSON.stringify(settingsToPlain(settings))).not.toContain("hidden");
});

describe("a mistake names file, line and key:", () => {
  test.each([
    ["an unknown key", "data: /x\nport: 1\n", "drp.yaml:2: port: there is no such key"],
    ["an unknown key inside", "api:\n  port: 1\n  prot: 2\n", "drp.yaml:3: api.prot: there is no such key"],
    [
      "a port that is no number",
      "api:\n  port: many\n",
      "drp.yaml:2: api.port: Invalid input: expected number, received string",
    ],
    ["a key written twice", "data: /x\ndata: /y\n", "drp.yaml:2: Map keys must be unique"],
    ["text that is no YAML", "data: [\n", "drp.yaml:2: "],
    ["a list at the top", "- data\n", "drp.yaml:1: the file must hold keys and values"],
    [
      "a network with host bits",
      "dhcp:\n  subnets:\n    - pools: []\n      network: 10.0.0.1/24\n",
      "drp.yaml:4: dhcp.subnets[0].network: 10.0.0.1/24 is no IPv4 network",
    ],
    [
      "a pool elsewhere",
      "dhcp:\n  subnets:\n    - network: 10.0.0.0/24\n      pools:\n        - 10.0.0.2-10.0.0.9\n        - 10.0.1.2-10.0.1.9\n",
      "drp.yaml:6: dhcp.subnets[0].pools[1]: the pool 10.0.1.2-10.0.1.9 reaches outside 10.0.0.0/24. Keep it within",
    ],
    [
      "a pool backwards",
      "dhcp: { subnets: [{ network: 10.0.0.0/24, pools: [10.0.0.9-10.0.0.2] }] }\n",
      "drp.yaml:1: dhcp.subnets[0].pools[0]: the pool 10.0.0.9-10.0.0.2 ends before it begins. Swap its ends.",
    ],
    [
      "the broadcast address",
      "dhcp: { subnets: [{ network: 10.0.0.0/24, router: 10.0.0.255 }] }\n",
      "drp.yaml:1: dhcp.subnets[0].router: the router 10.0.0.255 is no host of 10.0.0.0/24",
    ],
    [
      "overlapping subnets",
      "dhcp:\n  subnets:\n    - network: 10.0.0.0/16\n    - network: 10.0.3.0/24\n",
      "drp.yaml:4: dhcp.subnets[1].network: 10.0.3.0/24 overlaps 10.0.0.0/16. Keep one of the two",
    ],
    [
      "a machine reserved twice",
      "dhcp:\n  subnets:\n    - network: 10.0.0.0/24\n      reservations:\n        - { mac: '525400000001', address: 10.0.0.2 }\n        - { mac: '52:54:00:00:00:01', address: 10.0.0.3 }\n",
      "drp.yaml:6: dhcp.subnets[0].reservations[1]: 52:54:00:00:00:01 has two reservations in 10.0.0.0/24",
    ],
    [
      "an address that two machines claim",
      "dhcp:\n  subnets:\n    - network: 10.0.0.0/24\n      reservations:\n        - { mac: '525400000001', address: 10.0.0.2 }\n        - { clientId: 'hex:0102', address: 10.0.0.2 }\n",
      "drp.yaml:6: dhcp.subnets[0].reservations[1]: 10.0.0.2 is reserved twice, for 52:54:00:00:00:01 and for client id 0102",
    ],
    [
      "an address reserved for nobody",
      "dhcp: { subnets: [{ network: 10.0.0.0/24, reservations: [{ address: 10.0.0.2 }] }] }\n",
      "dhcp.subnets[0].reservations[0]: the reservation says for whom by none of mac, clientId and circuitId",
    ],
    [
      "a remote id without its circuit",
      "dhcp:\n  subnets:\n    - network: 10.0.0.0/24\n      reservations:\n        - mac: '525400000001'\n          remoteId: text:switch-1\n          address: 10.0.0.2\n",
      "drp.yaml:6: dhcp.subnets[0].reservations[0].remoteId: a remote id goes with a circuit id",
    ],
    [
      "an identifier that could be text or hexadecimal",
      "dhcp: { subnets: [{ network: 10.0.0.0/24, reservations: [{ circuitId: '0102', address: 10.0.0.2 }] }] }\n",
      'reservations[0].circuitId: write 0102 as "hex:0a0b" or as "text:…"',
    ],
    [
      "an option that there is not",
      "dhcp:\n  options:\n    colour: red\n",
      'drp.yaml:3: dhcp.options.colour: there is no DHCP option "colour"; known are',
    ],
    [
      "an option that the server decides",
      "dhcp:\n  subnets:\n    - network: 10.0.0.0/24\n      options:\n        mtu: 9000\n        54: hex:0a000001\n",
      "drp.yaml:6: dhcp.subnets[0].options.54: option 54 cannot be set",
    ],
    [
      "an option's value",
      "dhcp: { classes: [{ name: a, match: { architecture: 7 }, options: { mtu: 12 } }] }\n",
      "drp.yaml:1: dhcp.classes[0].options.mtu: mtu must be a number of bytes, 68 to 65535",
    ],
    [
      "a class that matches everyone",
      "dhcp: { classes: [{ name: a, match: {} }] }\n",
      "dhcp.classes[0].match: give at least one of vendorClass, userClass, architecture, macPrefix",
    ],
    [
      "two classes of one name",
      "dhcp:\n  classes:\n    - { name: a, match: { userClass: x } }\n    - { name: a, match: { userClass: y } }\n",
      "drp.yaml:4: dhcp.classes[1].name: there is a class a above already",
    ],
    [
      "a beginning of a MAC address",
      "dhcp: { classes: [{ name: a, match: { macPrefix: b827 } }] }\n",
      "dhcp.classes[0].match.macPrefix: b827 is no beginning of a MAC address",
    ],
    [
      "an interface named twice",
      "dhcp:\n  interfaces: [eth0, eth1, eth0]\n",
      "drp.yaml:2: dhcp.interfaces[2]: eth0 stands here twice",
    ],
    [
      "a proxy without an interface",
      "dhcp:\n  mode: proxy\n",
      "drp.yaml:2: dhcp.mode: a proxy has no subnets to know its network by",
    ],
    [
      "a proxy with subnets",
      "dhcp:\n  mode: proxy\n  interfaces: [eth0]\n  subnets:\n    - network: 10.0.0.0/24\n",
      "drp.yaml:4: dhcp.subnets: in mode proxy another server gives addresses and options; take subnets out",
    ],
    [
      "an S3 store without a bucket",
      "images: { store: { kind: s3 } }\n",
      "images.store.bucket: a store of kind s3",
    ],
    [
      "an S3 store's setting on a folder",
      "images:\n  store:\n    bucket: images\n",
      "drp.yaml:3: images.store.bucket: bucket is for a store of kind s3",
    ],
    [
      "a secret in an address",
      "images:\n  store: { kind: s3, bucket: images, endpoint: 'https://me:hidden@s3.example.com' }\n",
      "images.store.endpoint: credentials do not belong here",
    ],
    [
      "a cache that could lose what is being sent",
      "images: { store: { kind: s3, bucket: images, cacheSize: 1MiB } }\n",
      "images.store.cacheSize: at least 256MiB",
    ],
  ])("%s", (_name, text, expected) => {
    expect(mistakes(text).join("\n")).toContain(expected);
  });

  test("a variable or a flag is named where it holds the mistake", () => {
    expect(mistakes("", { env: { DRP_API_PORT: "99999" } })[0]).toContain("DRP_API_PORT: api.port:");
    expect(mistakes("", { flags: { "log-level": "loud" } })[0]).toContain("--log-level: log.level:");
  });

  test("all of them at once", () => {
    expect(mistakes("colour: red\napi:\n  port: -1\nlog:\n  level: loud\n")).toHaveLength(3);
  });
});

test.each([
  ["", null],
  ["images: { prune: {} }\n", null],
  ["images: { prune: { keep: 5 } }\n", { keepNewest: 5, keepForMs: 0 }],
  ["images: { prune: { olderThanDays: 30 } }\n", { keepNewest: 3, keepForMs: 30 * 86_400_000 }],
])("images are pruned after a push only where the file says so: %j", (text, prune) => {
  expect(decide(text).images.prune).toEqual(prune);
});

test("docs/config.md explains every key and no other", () => {
  const page = readFileSync("docs/config.md", "utf8");
  const keys = page.slice(page.indexOf("## Keys"), page.indexOf("## DHCP options"));
  const documented = [...keys.matchAll(/^\| `([^`]+)` \|/gm)].map(([, key]) => key);
  expect(documented).toEqual(listSettingKeys().map(({ key }) => key));
});
