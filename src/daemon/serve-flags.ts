/** The flags of `drp serve` and `drp site run`: `--config`, and one for each setting that is a single value. */
import { parseArgs } from "node:util";
import { flagOf, overlayKeys, variableOf } from "./config-keys.ts";

export type ServeCommand =
  | { readonly kind: "serve"; readonly flags: Readonly<Record<string, string | undefined>> }
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "wrong"; readonly reason: string };

/** What `--help` says first. */
export interface RoleHelp {
  /** "drp serve" */
  readonly command: string;
  readonly summary: string;
}

export function readServeFlags(args: readonly string[], help: RoleHelp): ServeCommand {
  const names = ["config", ...overlayKeys().map(({ key }) => flagOf(key))];
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        help: { type: "boolean", short: "h" },
        ...Object.fromEntries(names.map(name => [name, TEXT])),
      },
    });
    const { help: asked, ...flags } = values as { help?: boolean } & Record<string, string | undefined>;
    return asked === true ? { kind: "help", text: helpText(help) } : { kind: "serve", flags };
  } catch (error) {
    return { kind: "wrong", reason: error instanceof Error ? error.message : String(error) };
  }
}

const TEXT = { type: "string" } as const;

function helpText({ command, summary }: RoleHelp): string {
  const flags = overlayKeys().map(
    ({ key }) => `  --${flagOf(key).padEnd(24)} ${key.padEnd(20)} ${variableOf(key)}`,
  );
  const config = `  --${"config FILE".padEnd(24)} ${"".padEnd(20)} DRP_CONFIG`;
  return `Usage: ${command} [flags]\n\n${summary}\n\n  flag                       key in drp.yaml      variable\n${[config, ...flags].join("\n")}\n\nEvery key is explained in docs/config.md.\n`;
}
