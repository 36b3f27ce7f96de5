/** Golden images of the lab, built, signed and pushed with the commands that CI would use. */
import { join } from "node:path";
import { buildMinimalRootfs } from "../../boot/images/minimal/build.ts";
import type { LabHub } from "./lab-hub.ts";

/** Makes the key that signs, and lets the hub trust it. @returns the path of the private key */
export async function createSigningKey(hub: LabHub, folder: string): Promise<string> {
  const key = join(folder, "ci");
  await hub.drp("images", "keys", "create", key);
  await hub.drp("images", "keys", "trust", `${key}.pub`);
  return `${key}.key`;
}

export async function pushImage(
  hub: LabHub,
  folder: string,
  image: { version: string; healthy: boolean; key: string },
): Promise<void> {
  const { version, healthy, key } = image;
  const rootfs = join(folder, `rootfs-${version}`);
  const bundle = join(folder, `app-${version}.tar`);
  await buildMinimalRootfs({ drp: "dist/drp", cache: ".cache/debian", out: rootfs, version, healthy });
  await hub.drp(
    ...["images", "build", "--from", rootfs, "--name", "app", "--version", version],
    ...["--health", "app=/usr/lib/drp/health/app", "--key", key, "--out", bundle],
  );
  await hub.drp("images", "push", bundle);
}
