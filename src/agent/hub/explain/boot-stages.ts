/** The way of one boot at a glance: its stages in their order, and how far each came. */
import { type BootProgress, percentOf, type Transfer } from "./boot-progress.ts";

export interface BootStage {
  readonly name: string;
  /** open: not reached. */
  readonly state: "done" | "going" | "failed" | "open";
  /** "100 %", "10.0.0.7"; may be empty. */
  readonly note: string;
}

export function bootStages(progress: BootProgress): BootStage[] {
  const { talks, loader, script, install, registeredAt, booted } = progress;
  const onlySystem = talks.length > 0 && talks.every(({ speaker }) => speaker === "system");
  if (onlySystem && loader === null && script === null) return [address(progress)];
  const stages = [address(progress)];
  const startsAsIpxe = talks[0]?.speaker === "ipxe" && loader === null;
  if (!startsAsIpxe) stages.push(transferStage("loader", loader));
  stages.push(scriptStage(progress));
  if (script?.says === "disk")
    return [...stages, { name: "own disk", state: booted === null ? "going" : "done", note: "" }];
  stages.push(ramdiskStage(progress), {
    name: "registered",
    state: registeredAt === null ? "open" : "done",
    note: "",
  });
  if (install !== null) stages.push(installStage(install.phase, booted !== null));
  return stages;
}

function address({ talks, loader, script }: BootProgress): BootStage {
  const last = talks.at(-1);
  const granted = talks.findLast(({ grantedAt }) => grantedAt !== null);
  const proxied = talks.findLast(({ byProxy }) => byProxy);
  if (granted !== undefined && !granted.byProxy)
    return { name: "address", state: "done", note: granted.address };
  if (proxied !== undefined) {
    // Whoever fetches a file has an address; the other server does not tell us.
    const has = loader !== null || script !== null || proxied.grantedAt !== null;
    return { name: "address", state: has ? "done" : "going", note: "another server's" };
  }
  if (last === undefined) return { name: "address", state: "open", note: "" };
  if (last.silence !== null) return { name: "address", state: "failed", note: "no answer" };
  if (last.refused !== null) return { name: "address", state: "failed", note: "refused" };
  return { name: "address", state: "going", note: "offered" };
}

function transferStage(name: string, transfer: Transfer | null): BootStage {
  if (transfer === null || transfer.state === "asked") return { name, state: "open", note: "" };
  const percent = percentOf(transfer);
  const note = transfer.state === "missing" ? "not here" : percent === undefined ? "" : `${percent} %`;
  const state = { done: "done", going: "going", failed: "failed", missing: "failed" } as const;
  return { name, state: state[transfer.state], note };
}

function scriptStage({ script, grub }: BootProgress): BootStage {
  if (script !== null) {
    return { name: "script", state: script.says === "refused" ? "failed" : "done", note: script.says };
  }
  return { name: "script", state: grub === null ? "open" : "going", note: "" };
}

function ramdiskStage({ kernel, ramdisk }: BootProgress): BootStage {
  const worse = [kernel, ramdisk].find(transfer => transfer !== null && transfer.state !== "done");
  if (worse !== undefined) return transferStage("ramdisk", worse);
  if (kernel === null && ramdisk === null) return { name: "ramdisk", state: "open", note: "" };
  if (kernel === null || ramdisk === null) return { name: "ramdisk", state: "going", note: "" };
  return { name: "ramdisk", state: "done", note: "100 %" };
}

function installStage(phase: string, hasBooted: boolean): BootStage {
  if (phase === "failed") return { name: "install", state: "failed", note: "" };
  return { name: "install", state: phase === "written" || hasBooted ? "done" : "going", note: phase };
}
