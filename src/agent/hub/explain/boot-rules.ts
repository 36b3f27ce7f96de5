/**
 * What it means that a boot ended where it did: a table, the furthest stage first, of which the first rule that fits counts. The
 * reasons are those of docs/booting.md ("Why it stopped"), gathered from firmware's manuals and other boot servers' issues.
 */
import { ADDRESS_RULES } from "./rules/address.ts";
import { INSTALL_RULES } from "./rules/install.ts";
import { LOADER_RULES } from "./rules/loader.ts";
import { RAMDISK_RULES } from "./rules/ramdisk.ts";
import type { Rule } from "./rules/rule.ts";
import { SCRIPT_RULES } from "./rules/script.ts";
import { SECOND_LOADER_RULES } from "./rules/second-loader.ts";

export const BOOT_RULES: readonly Rule[] = [
  ...INSTALL_RULES,
  ...RAMDISK_RULES,
  ...SCRIPT_RULES,
  ...SECOND_LOADER_RULES,
  ...LOADER_RULES,
  ...ADDRESS_RULES,
];
