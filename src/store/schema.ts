/**
 * The tables as Kysely sees them. Only types that SQLite and PostgreSQL both have: text, integers, JSON kept as text,
 * times as milliseconds in a bigint. PostgreSQL answers bigint and count as strings, so they are read through
 * `toNumber` in rows.ts and nowhere else.
 */

/** A column that comes back as a number from SQLite and as a string from PostgreSQL. */
type Bigint = number | string;

export interface SitesTable {
  id: string;
  name: string;
  labels: string;
  unknown_policy: string;
  baseline: string | null;
  membership: string | null;
  /** Copies out of `membership`, which a joining site and the site channel ask for. */
  join_token_hash: string | null;
  key_fingerprint: string | null;
  time_zone: string;
  /** Null: none. */
  transfer_limits: string | null;
  last_seen_at: Bigint | null;
  created_at: Bigint;
  revision: Bigint;
}

export interface MachinesTable {
  id: string;
  site_id: string;
  name: string;
  labels: string;
  inventory: string | null;
  key_fingerprint: string | null;
  install_generation: Bigint;
  /** Copies out of `state`, `running` and `target`, which filters and `delete-image` ask for. */
  state_kind: string;
  wanted_image: string | null;
  running_image: string | null;
  target_image: string | null;
  state: string;
  running: string | null;
  target: string | null;
  denied: string;
  created_at: Bigint;
  updated_at: Bigint;
  last_seen_at: Bigint | null;
  revision: Bigint;
}

/** One row per address: the primary key is what makes a MAC address unique over the fleet. */
interface MachineMacsTable {
  mac: string;
  machine_id: string;
  position: Bigint;
}

export interface ImagesTable {
  digest: string;
  name: string;
  version: string;
  architecture: string;
  size_bytes: Bigint;
  data_bytes: Bigint;
  key_id: string;
  release: Bigint;
  minimum_release: Bigint;
  pushed_at: Bigint;
  pushed_by: string;
}

/** `digest` and `version` are null where the tag was taken away; the row stays, so that its revisions go on. */
export interface ImageTagsTable {
  name: string;
  tag: string;
  digest: string | null;
  version: string | null;
  moved_at: Bigint;
  moved_by: string;
  reason: string | null;
  revision: Bigint;
}

export interface TokensTable {
  id: string;
  name: string;
  role: string;
  secret_hash: string;
  created_at: Bigint;
  expires_at: Bigint | null;
}

/** One row a version: a list is never changed. */
interface KeyListsTable {
  version: Bigint;
  list_text: string;
  signature: string | null;
  published_at: Bigint;
  published_by: string;
}

export interface ReleaseFloorsTable {
  image_name: string;
  release: Bigint;
  rollout_id: string | null;
  reason: string;
  set_at: Bigint;
  set_by: string;
}

/** `state_kind` is for people with a database shell; `is_open` (1 or 0) is what queries ask. */
export interface RolloutsTable {
  id: string;
  state_kind: string;
  is_open: Bigint;
  record: string;
  created_at: Bigint;
  revision: Bigint;
}

/** Sites of open rollouts: the primary key is what keeps two rollouts off one site. */
interface RolloutSitesTable {
  site_id: string;
  rollout_id: string;
}

/** Images of open rollouts: what they bring, and what their rollback would bring back. */
interface RolloutImagesTable {
  digest: string;
  rollout_id: string;
}

/** What sites ran before their last rollout: kept from a prune until the next one is done. */
interface PreviousImagesTable {
  site_id: string;
  digest: string;
  rollout_id: string;
}

export interface DeniedImagesTable {
  digest: string;
  reason: string;
  rollout_id: string;
  at: Bigint;
}

export interface EventsTable {
  id: Bigint;
  at: Bigint;
  kind: string;
  severity: string;
  site_id: string | null;
  machine_id: string | null;
  mac: string | null;
  summary: string;
  facts: string;
}

/**
 * Numbers given out inside the transaction that uses them. A database sequence would let a later event become visible
 * before an earlier one, and a reader that resumes after it would never see the earlier one.
 */
interface CountersTable {
  name: string;
  value: Bigint;
}

export interface Schema {
  sites: SitesTable;
  machines: MachinesTable;
  machine_macs: MachineMacsTable;
  images: ImagesTable;
  image_tags: ImageTagsTable;
  image_tag_moves: ImageTagsTable;
  rollouts: RolloutsTable;
  rollout_sites: RolloutSitesTable;
  rollout_images: RolloutImagesTable;
  previous_images: PreviousImagesTable;
  denied_images: DeniedImagesTable;
  tokens: TokensTable;
  key_lists: KeyListsTable;
  release_floors: ReleaseFloorsTable;
  events: EventsTable;
  counters: CountersTable;
}
