/** The section `dhcp` of drp.yaml, and what the site's DHCP does by it: every default decided, every mistake named. */
import { z } from "zod";
import type { ClientClass } from "../dhcp/client-class.ts";
import type { Subnet } from "../dhcp/subnet.ts";
import { findSubnetProblems } from "../dhcp/subnet-problems.ts";
import { classSchema, decideClasses } from "./class-settings.ts";
import { decideOptions, optionsSchema } from "./option-settings.ts";
import { ProblemList, type SettingProblem } from "./setting-problem.ts";
import { decideSubnet, subnetSchema } from "./subnet-settings.ts";

const port = z.int().min(0).max(65_535);
/** Interfaces have at most 15 characters (Linux IFNAMSIZ). */
const interfaceName = z.string().regex(/^[^\s/]{1,15}$/, "no interface's name");

export const dhcpSchema = z.strictObject({
  mode: z.enum(["server", "proxy"]).optional(),
  interfaces: z.array(interfaceName).max(64).optional(),
  port: port.optional(),
  proxyPort: port.optional(),
  options: optionsSchema.optional(),
  classes: z.array(classSchema).max(256).optional(),
  subnets: z.array(subnetSchema).max(64).optional(),
});
type WrittenDhcp = z.output<typeof dhcpSchema>;

/** In mode "server", DHCP is off while there is no subnet. */
export interface DhcpSettings {
  readonly mode: "server" | "proxy";
  /** Empty: every interface that has an address in a subnet. */
  readonly interfaces: readonly string[];
  readonly ports: { readonly dhcp: number; readonly proxyDhcp: number };
  readonly classes: readonly ClientClass[];
  readonly subnets: readonly Subnet[];
}

export function decideDhcpSettings(written: WrittenDhcp = {}): {
  readonly dhcp: DhcpSettings;
  /** Their paths begin behind `dhcp`. */
  readonly problems: readonly SettingProblem[];
} {
  const list = new ProblemList();
  const { mode = "server", interfaces = [] } = written;
  for (const [index, name] of interfaces.entries()) {
    if (interfaces.indexOf(name) < index) list.refuse(["interfaces", index], `${name} stands here twice`);
  }
  if (mode === "proxy") refuseForProxy(written, list);
  return {
    dhcp: {
      mode,
      interfaces,
      ports: { dhcp: written.port ?? 67, proxyDhcp: written.proxyPort ?? 4011 },
      classes: decideClasses(written.classes ?? [], ["classes"], list),
      subnets: decideSubnets(written, list),
    },
    problems: list.problems,
  };
}

/** What can only be meant for a server that gives the addresses itself. */
function refuseForProxy(written: WrittenDhcp, list: ProblemList): void {
  if ((written.interfaces ?? []).length === 0) {
    list.refuse(["mode"], "a proxy has no subnets to know its network by; name it: dhcp.interfaces: [eth1]");
  }
  for (const key of ["subnets", "classes", "options"] as const) {
    if (written[key] === undefined) continue;
    list.refuse(
      [key],
      `in mode proxy another server gives addresses and options; take ${key} out, or set dhcp.mode: server`,
    );
  }
}

function decideSubnets({ subnets: written = [], options: forAll }: WrittenDhcp, list: ProblemList): Subnet[] {
  const options = decideOptions(forAll, ["options"], list);
  const readable = written.flatMap((entry, index) => {
    const before = list.problems.length;
    const subnet = decideSubnet(entry, options, ["subnets", index], list);
    // Where a part could not be read, its neighbours would be blamed for the hole that it left.
    return subnet === undefined || list.problems.length > before ? [] : [{ subnet, index }];
  });
  const subnets = readable.map(({ subnet }) => subnet);
  for (const { path, reason, advice } of findSubnetProblems(subnets)) {
    const [position, part, ...rest] = path;
    const index = readable[Number(position)]?.index ?? 0;
    // drp.yaml has a shorter word for it.
    list.refuse(
      ["subnets", index, part === "exclusions" ? "exclude" : (part ?? ""), ...rest],
      `${reason}. ${advice}`,
    );
  }
  return subnets;
}
