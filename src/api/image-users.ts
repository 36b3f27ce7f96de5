/** Names what keeps an image from being removed, as the store's `delete-image` sees it, for whoever tried. */
import type { MachineRecord } from "../agent/hub/machine-record.ts";
import type { ImageDigest } from "../images/manifest.ts";
import type { RolloutRecord } from "../rollout/rollout-record.ts";
import type { Store } from "../store/ports.ts";

/** More would not help anyone to decide. */
const NAMED_USERS = 3;
const PAGE = 500;

export async function findImageUsers(store: Store, digest: ImageDigest): Promise<string[]> {
  const tags = (await store.listImageTags()).filter(tag => tag.digest === digest);
  const users = tags.map(({ name, tag }) => `tag ${name}:${tag}`);
  const rollouts = await store.listRollouts({ onlyOpen: true, limit: PAGE });
  users.push(...rollouts.filter(rollout => needs(rollout, digest)).map(({ id }) => `rollout ${id}`));
  for (let after: string | undefined; users.length < NAMED_USERS; ) {
    const page = await store.listSites({ ...(after === undefined ? {} : { after }), limit: PAGE });
    users.push(...page.filter(({ baseline }) => baseline === digest).map(({ name }) => `site ${name}`));
    after = page.at(-1)?.name;
    if (after === undefined) break;
  }
  for (let after: string | undefined; users.length < NAMED_USERS; ) {
    const page = await store.listMachines({ ...(after === undefined ? {} : { after }), limit: PAGE });
    users.push(...page.filter(machine => uses(machine, digest)).map(({ name }) => name));
    after = page.at(-1)?.name;
    if (after === undefined) break;
  }
  return users.slice(0, NAMED_USERS);
}

function needs({ plan }: RolloutRecord, digest: ImageDigest): boolean {
  const sites = plan.waves.flatMap(wave => wave.sites);
  return (
    plan.image === digest ||
    sites.some(site => site.baselineBefore === digest || site.machines.some(({ from }) => from === digest))
  );
}

function uses({ running, target, state }: MachineRecord, digest: ImageDigest): boolean {
  if (running?.image === digest || target?.image === digest) return true;
  if (state.kind === "booting") return state.image === digest;
  return (state.kind === "assigned" || state.kind === "installing") && state.intent.image === digest;
}
