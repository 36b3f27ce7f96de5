/** Lays out what an install leaves on drp-data: who the machine is, and what its slot holds. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { SignedManifest } from "../../protocol.ts";
import { KEY_LISTS, type MachineConfig } from "../agent-files.ts";
import type { MachineKey } from "./machine-key.ts";

export interface DataOfInstall {
  readonly config: MachineConfig;
  readonly key: MachineKey;
  readonly signed: SignedManifest;
  /** As images/io/key-list-file.ts keeps them. */
  readonly keyLists: string;
}

/** @param folder an empty one, which becomes the root of drp-data */
export async function stageData(
  folder: string,
  { config, key, signed, keyLists }: DataOfInstall,
): Promise<void> {
  const home = join(folder, "drp");
  const slot = join(home, "slots", "a");
  await mkdir(slot, { recursive: true, mode: 0o755 });
  await writeFile(join(home, "machine.json"), JSON.stringify(config, null, 2), { mode: 0o600 });
  await writeFile(join(home, KEY_LISTS), keyLists, { mode: 0o600 });
  await writeFile(join(home, "machine.key"), key.privateKeyPem, { mode: 0o600 });
  await writeFile(join(home, "machine.crt"), key.certificatePem, { mode: 0o600 });
  await writeFile(join(slot, "manifest.json"), signed.manifestText);
  await writeFile(join(slot, "manifest.sig"), JSON.stringify(signed.signature));
}
