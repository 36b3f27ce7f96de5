/** What the boot script and GRUB told the machine agent, on the kernel's command line. */
import { DrpError } from "../../core/errors.ts";
import { type MacAddress, parseMac } from "../../core/mac.ts";
import { type ImageDigest, imageDigestSchema } from "../../images/manifest.ts";
import type { Slot } from "../../images/slot-config.ts";

/** In the ramdisk. */
export interface InstallArguments {
  /** The machine channel: https://IP:8443 */
  readonly siteUrl: string;
  /** The open boot server, which has the chunks: http://IP:8091 */
  readonly bootUrl: string;
  readonly bootToken: string;
  readonly bootMac: MacAddress;
}

/** In the installed OS. */
export interface RunArguments {
  readonly slot: Slot;
  readonly image: ImageDigest;
}

/** @throws {DrpError} config.invalid naming the argument */
export function parseInstallArguments(commandLine: string): InstallArguments {
  const given = parseArguments(commandLine);
  const bootMac = parseMac(given.get("drp.mac") ?? "");
  const bootToken = given.get("drp.token");
  if (bootMac === undefined) throw invalid("drp.mac", "the MAC address that the machine booted from");
  if (bootToken === undefined) throw invalid("drp.token", "the boot token");
  return {
    siteUrl: requireUrl(given, "drp.site", "https:"),
    bootUrl: requireUrl(given, "drp.boot", "http:"),
    bootToken,
    bootMac,
  };
}

/** @throws {DrpError} config.invalid naming the argument */
export function parseRunArguments(commandLine: string): RunArguments {
  const given = parseArguments(commandLine);
  const slot = given.get("drp.slot");
  const image = imageDigestSchema.safeParse(given.get("drp.digest"));
  if (slot !== "a" && slot !== "b") throw invalid("drp.slot", "the slot that was booted, a or b");
  if (!image.success) throw invalid("drp.digest", "the digest of the image that was booted");
  return { slot, image: image.data };
}

function parseArguments(commandLine: string): ReadonlyMap<string, string> {
  const pairs = commandLine.trim().split(/\s+/);
  return new Map(
    pairs.map(pair => {
      const [name = "", ...value] = pair.split("=");
      return [name, value.join("=")] as const;
    }),
  );
}

/** @returns the origin, without a path */
function requireUrl(given: ReadonlyMap<string, string>, name: string, protocol: string): string {
  const url = URL.parse(given.get(name) ?? "");
  if (url?.protocol !== protocol) throw invalid(name, `an address with ${protocol}//`);
  return url.origin;
}

function invalid(name: string, meaning: string): DrpError {
  return new DrpError("config.invalid", `the kernel's command line has no valid ${name} (${meaning})`, {
    advice: "Boot the machine through its site's boot script or its own GRUB, which set it.",
  });
}
