/** The whole command tree: a file per noun, plus the tables of what runs on this host. */
import { Argument, Command, Option } from "commander";
import { Cli, firstArgument, type OpenContext } from "./cli.ts";
import { completionScript, SHELLS, type Shell } from "./completion.ts";
import { LOCAL_COMMANDS } from "./local-commands.ts";
import { addBoot } from "./nouns/boot.ts";
import { addEvents } from "./nouns/events.ts";
import { addImages } from "./nouns/images.ts";
import { addLeases } from "./nouns/leases.ts";
import { addMachines } from "./nouns/machines.ts";
import { addRollout } from "./nouns/rollout.ts";
import { addSites } from "./nouns/sites.ts";
import { addStatus } from "./nouns/status.ts";
import { addSubnets } from "./nouns/subnets.ts";
import { addTokens } from "./nouns/tokens.ts";
import { addWhy } from "./nouns/why.ts";
import { OUTPUT_FORMATS } from "./output.ts";
import { ROLE_COMMANDS } from "./role-commands.ts";

export function buildProgram(open: OpenContext): Cli {
  const root = new Command("drp")
    .description("Provisions edge fleets: network boot, immutable images, rollouts site by site.")
    .addOption(
      new Option("-o, --output <format>", "how to answer (default: table on a terminal, else json)").choices(
        OUTPUT_FORMATS,
      ),
    )
    .option("--no-color", "never colour the answer (NO_COLOR does the same)")
    .addHelpText("after", ENVIRONMENT)
    .configureHelp({ showGlobalOptions: true })
    .helpCommand(false)
    .showSuggestionAfterError(true)
    .exitOverride();
  const cli = new Cli(root, open);

  root.command("machine").description("the agent of a machine; starts by itself there");
  root.command("config").description("what drp.yaml, variables and flags say together");
  for (const role of ROLE_COMMANDS) declarePath(root, role.path, role.summary);
  addStatus(cli);
  addSites(cli);
  addMachines(cli);
  addImages(cli);
  addRollout(cli);
  addLeases(cli);
  addSubnets(cli);
  addTokens(cli);
  addEvents(cli);
  addWhy(cli);
  addBoot(cli);
  for (const local of LOCAL_COMMANDS) {
    const command = declarePath(root, local.path, local.summary);
    local.declare(command);
    cli.on<never>(command, local.run);
  }
  addCompletion(cli);
  wordUsageErrors(root, "drp");
  return cli;
}

function wordUsageErrors(command: Command, path: string): void {
  command.configureOutput({ outputError: (text, write) => write(usageErrorText(text, path)) });
  for (const child of command.commands) wordUsageErrors(child, `${path} ${child.name()}`);
}

/** Commander's "error: unknown command 'x'\n(Did you mean y?)" in the form of every other error. */
function usageErrorText(text: string, path: string): string {
  const [what = "", ...hints] = text.trim().split("\n");
  const advice = hints.length > 0 ? hints.join(" ").replaceAll(/[()]/g, "") : `See: ${path} --help`;
  return `drp: ${what.replace(/^error: /, "")}\n  → ${advice}\n`;
}

function declarePath(root: Command, path: string, summary: string): Command {
  const words = path.split(" ");
  const name = words.pop() ?? "";
  const parent = words.reduce(
    (above, word) => above.commands.find(child => child.name() === word) ?? above.command(word),
    root,
  );
  return parent.command(name).description(summary);
}

function addCompletion(cli: Cli): void {
  const completion = cli.root
    .command("completion")
    .addArgument(new Argument("<shell>").choices(SHELLS))
    .description("print a completion script");
  cli.on(completion, async call => {
    call.context.out.device.write(completionScript(cli.root, firstArgument(call) as Shell));
  });
}

const ENVIRONMENT = `
Environment:
  DRP_ENDPOINT  the hub (default: https://localhost:8092)
  DRP_TOKEN     who you are (default: admin.token in the data folder of a hub on this host)
  DRP_CA        PEM file that the hub's certificate is checked with (default: ca.pem there)
  DRP_DATA      that data folder (default: /var/lib/drp as root, then ./.drp)

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 timed out`;
