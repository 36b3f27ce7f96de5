/** Reads from the store what a plan or a step is decided from. */
import type { MachineRecord } from "../../agent/hub/machine-record.ts";
import type { EpochMs } from "../../core/time.ts";
import { describeAmbiguity } from "../../images/image-reference.ts";
import type { Store } from "../../store/ports.ts";
import type { Fleet } from "../plan.ts";
import type { Refusal } from "../refusal.ts";
import { loadImageStanding } from "./load-image-standing.ts";

/** Rows in one read. */
const PAGE = 500;

/** @param imageReference digest, unique prefix, NAME:VERSION, NAME:TAG, unique version or tag; a refusal when several images fit */
export async function loadFleet(
  store: Store,
  imageReference: string,
  now: EpochMs,
): Promise<Fleet | Refusal> {
  const [image, ...others] = await store.findImages(imageReference);
  if (others.length > 0) {
    return {
      kind: "refused",
      code: "request.invalid",
      reason: describeAmbiguity(imageReference, image === undefined ? others : [image, ...others]),
      advice: "Name the one that you mean by its digest: drp images list",
    };
  }
  const images = await readAll(
    after => store.listImages({ limit: PAGE, ...after }),
    entry => entry.digest,
  );
  return {
    image,
    images: new Map(images.map(entry => [entry.digest, entry])),
    sites: await readAll(
      after => store.listSites({ limit: PAGE, ...after }),
      site => site.name,
    ),
    machines: await readMachines(store),
    deniedImages: await store.listDeniedImages(),
    openRollouts: await readOpenRollouts(store),
    standing: image === undefined ? null : await loadImageStanding(store, image, now),
  };
}

export function readOpenRollouts(store: Store) {
  return readAll(
    after => store.listRollouts({ onlyOpen: true, limit: PAGE, ...after }),
    rollout => rollout.id,
  );
}

/** @param siteId left out: of every site */
export function readMachines(store: Store, siteId?: string): Promise<MachineRecord[]> {
  return readAll(
    after => store.listMachines({ limit: PAGE, ...(siteId === undefined ? {} : { siteId }), ...after }),
    machine => machine.name,
  );
}

export async function readAll<Row>(
  readPage: (after: { readonly after?: string }) => Promise<readonly Row[]>,
  cursor: (row: Row) => string,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (;;) {
    const last = rows.at(-1);
    const page = await readPage(last === undefined ? {} : { after: cursor(last) });
    rows.push(...page);
    if (page.length < PAGE) return rows;
  }
}
