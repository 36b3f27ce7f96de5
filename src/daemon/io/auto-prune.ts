/** Prunes images after each push, where drp.yaml asks for it: pushes are what makes a registry grow. */
import { type PruneDeps, pruneImages } from "../../api/prune-images.ts";
import type { RetentionRule } from "../../images/retention.ts";
import type { NewEvent } from "../../store/ports.ts";

/** @returns stops, and resolves when a prune that runs has ended */
export function startAutoPrune(
  deps: PruneDeps,
  rule: RetentionRule,
  onError: (error: unknown) => void,
): () => Promise<void> {
  let running: Promise<void> | undefined;
  let isWanted = false;
  const run = async () => {
    while (isWanted) {
      isWanted = false;
      await pruneImages(deps, rule, (image, reason) => prunedEvent(deps, image, reason)).catch(onError);
    }
    running = undefined;
  };
  const stop = deps.store.onCommitted(changes => {
    if (!changes.some(change => change.kind === "insert-image")) return;
    isWanted = true;
    running ??= run();
  });
  return async () => {
    stop();
    isWanted = false;
    await running;
  };
}

function prunedEvent(
  { clock }: PruneDeps,
  image: { readonly digest: string; readonly name: string; readonly version: string },
  reason: string,
): NewEvent {
  return {
    at: clock(),
    kind: "image.pruned",
    severity: "info",
    siteId: null,
    machineId: null,
    mac: null,
    summary: `${image.name}:${image.version} was pruned after a push (${reason})`,
    facts: { image: image.digest },
  };
}
