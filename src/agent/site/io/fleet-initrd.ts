/**
 * The ramdisk as this fleet boots it: a small archive with the fleet's CA and image keys in front of the ramdisk that the
 * build made. The kernel unpacks both in turn, as it does with early microcode.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { encodeCpioBytes } from "../../../images/cpio.ts";

/** Whom the ramdisk believes (agent/machine/agent-files.ts reads it). */
export interface FleetTrust {
  readonly caPem: string;
  readonly imageKeys: readonly { readonly keyId: string; readonly publicKeyPem: string }[];
}

/** Replaces `file` in one step: a machine that is reading the one before goes on reading that. */
export async function writeFleetInitrd(file: string, ramdisk: string, trust: FleetTrust): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const partial = `${file}.partial`;
  const output = createWriteStream(partial);
  output.write(encodeTrust(trust));
  await pipeline(createReadStream(ramdisk), output);
  const written = await open(partial, "r");
  await written.sync();
  await written.close();
  await rename(partial, file);
}

function encodeTrust({ caPem, imageKeys }: FleetTrust): Uint8Array {
  const folder = (path: string) => ({ kind: "directory", path, permissions: 0o755 }) as const;
  const contents = Buffer.from(JSON.stringify({ caPem, imageKeys }));
  return encodeCpioBytes([
    folder("etc"),
    folder("etc/drp"),
    { kind: "file", path: "etc/drp/fleet.json", permissions: 0o644, contents },
  ]);
}
