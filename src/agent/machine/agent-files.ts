/** Files that the machine agent reads: what the ramdisk was built with, and what an install left on drp-data. */
import { z } from "zod";
import { signedKeyListsSchema } from "../../images/key-list.ts";
import { updateReportSchema } from "../protocol.ts";

/** /etc/drp/fleet.json of the ramdisk: whom it believes. */
export const fleetTrustSchema = z.object({ caPem: z.string().min(1), keyLists: signedKeyListsSchema });
export type FleetTrust = z.infer<typeof fleetTrustSchema>;

/** /usr/lib/drp/build.json of the ramdisk. */
export const buildInfoSchema = z.object({ builtAt: z.iso.datetime() });

/** /drp-data/drp/machine.json: who the installed machine is. Its key, its certificate and the key lists lie beside it. */
export const machineConfigSchema = z.object({
  /** The machine channel. */
  siteUrl: z.url(),
  /** The open boot server, which has the chunks. */
  bootUrl: z.url(),
  machineId: z.string().min(1),
  machineName: z.string().min(1),
  installGeneration: z.int().positive(),
  caPem: z.string().min(1),
});
export type MachineConfig = z.infer<typeof machineConfigSchema>;

/** /drp-data/drp/key-lists.json: whom the machine believes; grows with each list that the site brings. */
export const KEY_LISTS = "key-lists.json";

export const bootCountSchema = z.object({ bootCount: z.int().positive(), bootId: z.string().min(1) });

/** /drp-data/drp/update.json: the newest target that the machine has dealt with, and how far it got. */
export const keptUpdateSchema = updateReportSchema.extend({
  strategy: z.enum(["ab", "reimage"]),
  /** The boot in which it was armed: only a later boot can be what it was armed for. Null before. */
  armedInBoot: z.uuid().nullable(),
});
export type KeptUpdate = z.infer<typeof keptUpdateSchema>;
