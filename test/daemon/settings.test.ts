import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { DrpError } from "../../src/core/errors.ts";
import { formatIpv4 } from "../../src/core/ipv4.ts";
import { listSettingKeys } from "../../src/daemon/config-keys.ts";
import { decideSettings, type SettingsInput } from "../../src/daemon/settings.ts";

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
    site: { name: "local", unknown: null },
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
      "drp.yaml:6: dhcp.subnets[0].pools[1]: 10.0.1.2 is outside 10.0.0.0/24",
    ],
    [
      "a pool backwards",
      "dhcp: { subnets: [{ network: 10.0.0.0/24, pools: [10.0.0.9-10.0.0.2] }] }\n",
      "drp.yaml:1: dhcp.subnets[0].pools[0]: 10.0.0.9-10.0.0.2 ends before it begins",
    ],
    [
      "the broadcast address",
      "dhcp: { subnets: [{ network: 10.0.0.0/24, router: 10.0.0.255 }] }\n",
      "drp.yaml:1: dhcp.subnets[0].router: 10.0.0.255 is the first or last",
    ],
    [
      "overlapping subnets",
      "dhcp:\n  subnets:\n    - network: 10.0.0.0/16\n    - network: 10.0.3.0/24\n",
      "drp.yaml:4: dhcp.subnets[1].network: 10.0.3.0/24 overlaps",
    ],
    [
      "a machine reserved twice",
      "dhcp:\n  subnets:\n    - network: 10.0.0.0/24\n      reservations:\n        - { mac: '525400000001', address: 10.0.0.2 }\n        - { mac: '52:54:00:00:00:01', address: 10.0.0.3 }\n",
      "52:54:00:00:00:01 already has a reservation",
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

test("docs/config.md explains every key and no other", () => {
  const page = readFileSync("docs/config.md", "utf8");
  const documented = [...page.matchAll(/^\| `([^`]+)` \|/gm)].map(([, key]) => key);
  expect(documented).toEqual(listSettingKeys().map(({ key }) => key));
});
