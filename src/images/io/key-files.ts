/** Makes the pair of files that signs images: NAME.key stays with whoever builds, NAME.pub goes to the hub. */
import { generateKeyPairSync } from "node:crypto";
import { open, unlink } from "node:fs/promises";
import { DrpError } from "../../core/errors.ts";
import { keyIdOf } from "../keys.ts";

export interface KeyFiles {
  readonly keyId: string;
  /** Mode 0600. */
  readonly privateKeyPath: string;
  readonly publicKeyPath: string;
}

/**
 * @param basePath files are `${basePath}.key` and `${basePath}.pub`; neither may exist
 * @throws {DrpError} name.taken, data.unwritable
 */
export async function createKeyFiles(basePath: string): Promise<KeyFiles> {
  const pair = generateKeyPairSync("ed25519");
  const privateKeyPath = `${basePath}.key`;
  const publicKeyPath = `${basePath}.pub`;
  await writeNewFile(privateKeyPath, pair.privateKey.export({ type: "pkcs8", format: "pem" }), 0o600);
  try {
    await writeNewFile(publicKeyPath, pair.publicKey.export({ type: "spki", format: "pem" }), 0o644);
  } catch (error) {
    await unlink(privateKeyPath);
    throw error;
  }
  return { keyId: keyIdOf(pair.publicKey), privateKeyPath, publicKeyPath };
}

async function writeNewFile(path: string, content: string | Buffer, mode: number): Promise<void> {
  try {
    await using file = await open(path, "wx", mode);
    await file.writeFile(content);
    await file.sync();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST") {
      throw new DrpError("name.taken", `${path} exists; a key is never overwritten`, {
        advice: "Choose another name, or move the old file away.",
      });
    }
    throw new DrpError("data.unwritable", `cannot write ${path}`, { cause });
  }
}
