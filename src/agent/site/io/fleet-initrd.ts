/**
 * The ramdisk as this fleet boots it: a small archive with the fleet's CA and key lists in front of the ramdisk that the
 * build made. The kernel unpacks both in turn, as it does with early microcode.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { storageError } from "../../../core/storage-error.ts";
import { encodeCpioBytes } from "../../../images/cpio.ts";
import type { SignedKeyList } from "../../../images/key-list.ts";

/** Whom the ramdisk believes (agent/machine/agent-files.ts reads it). */
interface FleetTrust {
  readonly caPem: string;
  readonly keyLists: readonly SignedKeyList[];
}

export class FleetInitrd {
  readonly #file: string;
  readonly #ramdisk: string | undefined;
  readonly #caPem: string;
  #lists = "";
  /** One write after another: the newest lists win. */
  #writing: Promise<void> = Promise.resolve();

  private constructor(file: string, ramdisk: string | undefined, caPem: string) {
    this.#file = file;
    this.#ramdisk = ramdisk;
    this.#caPem = caPem;
  }

  /** @param ramdisk undefined where the boot files were never built: then there is nothing to write */
  static async write(
    file: string,
    ramdisk: string | undefined,
    caPem: string,
    keyLists: readonly SignedKeyList[],
  ): Promise<FleetInitrd> {
    const initrd = new FleetInitrd(file, ramdisk, caPem);
    await initrd.believe(keyLists);
    return initrd;
  }

  /** From now on machines get a ramdisk that believes the keys of the newest of these lists, and no others. */
  believe(keyLists: readonly SignedKeyList[]): Promise<void> {
    const ramdisk = this.#ramdisk;
    const lists = JSON.stringify(keyLists);
    if (ramdisk === undefined || lists === this.#lists) return this.#writing;
    this.#lists = lists;
    const trust = { caPem: this.#caPem, keyLists };
    this.#writing = this.#writing.catch(() => {}).then(() => writeInitrd(this.#file, ramdisk, trust));
    return this.#writing;
  }
}

/**
 * Replaces `file` in one step: a machine that is reading the one before goes on reading that.
 *
 * @throws {DrpError} storage.full, data.unwritable
 */
async function writeInitrd(file: string, ramdisk: string, trust: FleetTrust): Promise<void> {
  const partial = `${file}.partial`;
  try {
    await mkdir(dirname(file), { recursive: true });
    await writeAside(partial, ramdisk, trust);
    await rename(partial, file);
  } catch (cause) {
    await rm(partial, { force: true });
    throw storageError(file, cause);
  }
}

async function writeAside(partial: string, ramdisk: string, trust: FleetTrust): Promise<void> {
  const output = createWriteStream(partial);
  output.write(encodeTrust(trust));
  await pipeline(createReadStream(ramdisk), output);
  const written = await open(partial, "r");
  await written.sync();
  await written.close();
}

function encodeTrust({ caPem, keyLists }: FleetTrust): Uint8Array {
  const folder = (path: string) => ({ kind: "directory", path, permissions: 0o755 }) as const;
  const contents = Buffer.from(JSON.stringify({ caPem, keyLists }));
  return encodeCpioBytes([
    folder("etc"),
    folder("etc/drp"),
    { kind: "file", path: "etc/drp/fleet.json", permissions: 0o644, contents },
  ]);
}
