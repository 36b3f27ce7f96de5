/** Files that the machine agent reads: what the ramdisk was built with, and what an install left on drp-data. */
import { z } from "zod";

const imageKeysSchema = z.array(z.object({ keyId: z.string(), publicKeyPem: z.string() }));

/** /etc/drp/fleet.json of the ramdisk: whom it believes. */
export const fleetTrustSchema = z.object({ caPem: z.string().min(1), imageKeys: imageKeysSchema });
export type FleetTrust = z.infer<typeof fleetTrustSchema>;

/** /usr/lib/drp/build.json of the ramdisk. */
export const buildInfoSchema = z.object({ builtAt: z.iso.datetime() });

/** /drp-data/drp/machine.json: who the installed machine is. Its key and certificate lie beside it. */
export const machineConfigSchema = z.object({
  siteUrl: z.url(),
  machineId: z.string().min(1),
  machineName: z.string().min(1),
  installGeneration: z.int().positive(),
  caPem: z.string().min(1),
  imageKeys: imageKeysSchema,
});
export type MachineConfig = z.infer<typeof machineConfigSchema>;

export const bootCountSchema = z.object({ bootCount: z.int().positive(), bootId: z.string().min(1) });
