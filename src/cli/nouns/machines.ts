/** `drp machines …`, except its install verbs. */
import { imageSchema, leaseSchema, machineSchema } from "../../api/wire.ts";
import { DrpError } from "../../core/errors.ts";
import { parseMac } from "../../core/mac.ts";
import { type Cli, type CliContext, firstArgument } from "../cli.ts";
import { type MachineViewContext, machineColumns, machineFields } from "../format/machine-view.ts";
import { imageNamer } from "../format/words.ts";
import { findMachine, machinePath } from "../machine-reference.ts";
import { collect, collectLabel } from "../options.ts";
import { addMachineInstalls } from "./machine-installs.ts";

const NO_MACHINES =
  "No machines yet. Power one on with network boot: it shows up here by itself.\n" +
  "Or enter one first: drp machines create NAME --mac 52:54:00:12:34:56";

export function addMachines(cli: Cli): void {
  const machines = cli.root.command("machines").description("the machines themselves");

  const list = machines
    .command("list")
    .description("every machine: state, image, health")
    .option("--site <site>", "only of this site")
    .option("--state <state>", "only in this state");
  cli.on<{ site?: string; state?: string }>(list, async ({ context, options }) => {
    const query = { site: options.site, state: options.state };
    // What was asked for comes first: where several answers would fail, the error is about this one.
    const items = await context.api().list("/machines", machineSchema, query);
    context.out.list(items, machineColumns(await machineViewContext(context)), NO_MACHINES);
  });

  cli.on(
    machines.command("show").argument("<machine>", "name, id or MAC").description("one machine"),
    async call => {
      const machine = await findMachine(call.context, firstArgument(call));
      call.context.out.record(machine, machineFields(machine, await machineViewContext(call.context)));
    },
  );

  const create = machines
    .command("create")
    .argument("<name>")
    .description("enter a machine before it is ever seen")
    .requiredOption("--mac <address>", "of a network card (repeatable)", collect)
    .option("--site <site>", "where it stands")
    .option("--label <key=value>", "(repeatable)", collectLabel);
  cli.on<{ mac: string[]; site?: string; label?: Record<string, string> }>(create, async call => {
    const { mac, site, label } = call.options;
    const body = { name: firstArgument(call), macs: mac.map(canonicalMac), site, labels: label };
    const machine = await call.context.api().post("/machines", body, machineSchema);
    call.context.out.done(machine, `machine ${machine.name} entered at site ${machine.siteName}`);
  });

  const update = machines
    .command("update")
    .argument("<machine>", "name, id or MAC")
    .description("rename a machine or set its labels")
    .option("--name <name>")
    .option("--label <key=value>", "set the labels to these (repeatable)", collectLabel);
  cli.on<{ name?: string; label?: Record<string, string> }>(update, async call => {
    const api = call.context.api();
    const before = await findMachine(call.context, firstArgument(call));
    const change = { name: call.options.name, labels: call.options.label };
    const machine = await api.patch(machinePath(before.id), change, before.revision, machineSchema);
    call.context.out.done(machine, `machine ${machine.name} updated`);
  });

  const destroy = machines
    .command("destroy")
    .argument("<machine>", "name, id or MAC")
    .description("forget a machine; its disk is not touched");
  cli.on(destroy, async call => {
    const api = call.context.api();
    const machine = await findMachine(call.context, firstArgument(call));
    await api.delete(machinePath(machine.id), machine.revision);
    call.context.out.done(machine, `machine ${machine.name} forgotten`);
  });

  addMachineInstalls(cli, machines);
}

async function machineViewContext(context: CliContext): Promise<MachineViewContext> {
  const [images, leases] = await Promise.all([
    context.api().list("/images", imageSchema),
    context.api().list("/leases", leaseSchema),
  ]);
  return { now: context.now(), nameOf: imageNamer(images), leases };
}

function canonicalMac(text: string): string {
  const mac = parseMac(text);
  if (mac !== undefined) return mac;
  throw new DrpError("request.invalid", `not a MAC address: ${text}`, {
    advice: "Write it as 52:54:00:12:34:56.",
  });
}
