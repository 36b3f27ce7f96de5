/** Reads the configuration of this host: the file, the environment, and where things lie by default. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { isSea } from "node:sea";
import { DrpError } from "../../core/errors.ts";
import { decideSettings, type Settings, type SettingsInput } from "../settings.ts";

/** The first that is there, when no file is named. */
const DEFAULT_FILES = ["drp.yaml", "/etc/drp/drp.yaml"];

/**
 * @param flags by their names without dashes; `config` names the file
 * @throws {DrpError} config.invalid naming file, line and key
 */
export function loadSettings(
  flags: Readonly<Record<string, string | undefined>> = {},
  env: Readonly<Record<string, string | undefined>> = process.env,
): Settings {
  const named = flags.config ?? env.DRP_CONFIG;
  const path = named ?? DEFAULT_FILES.find(candidate => existsSync(candidate));
  const file = path === undefined ? undefined : { path, text: readText(path) };
  return decideSettings({ file, env, flags, defaults: hostDefaults() });
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new DrpError("config.invalid", `${path}: the configuration file cannot be read`, {
      advice: "Check the path given by --config or DRP_CONFIG, and the file's mode.",
      cause,
    });
  }
}

function hostDefaults(): SettingsInput["defaults"] {
  return {
    data: process.getuid?.() === 0 ? "/var/lib/drp" : resolve(".drp"),
    // The build puts boot/ beside the executable; from source, both are in dist/.
    bootFiles: isSea() ? join(dirname(process.execPath), "boot") : resolve("dist/boot"),
  };
}
