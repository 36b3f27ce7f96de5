/** Rows ↔ records: the one place where text becomes JSON and where a bigint or a count becomes a number. */
import type { Selectable } from "kysely";
import { type MachineRecord, openIntent } from "../agent/hub/machine-record.ts";
import type { UnknownPolicy } from "../agent/site/view.ts";
import type { Architecture } from "../core/architecture.ts";
import type { MacAddress } from "../core/mac.ts";
import { NO_LIMITS } from "../images/transfer-limits.ts";
import { isEnded, type RolloutRecord } from "../rollout/rollout-record.ts";
import type {
  DeniedImageRecord,
  EventRecord,
  EventSeverity,
  ImageRecord,
  ImageTagRecord,
  Role,
  SiteRecord,
  TokenRecord,
} from "./ports.ts";
import type {
  DeniedImagesTable,
  EventsTable,
  ImagesTable,
  ImageTagsTable,
  MachinesTable,
  RolloutsTable,
  SitesTable,
  TokensTable,
} from "./schema.ts";

/** Every integer that we keep is below 2^53: times in milliseconds, sizes in bytes, counts. */
export function toNumber(value: number | string | bigint): number {
  return Number(value);
}

function toNumberOrNull(value: number | string | null): number | null {
  return value === null ? null : toNumber(value);
}

export function siteToRow(site: SiteRecord): SitesTable {
  const { membership } = site;
  return {
    id: site.id,
    name: site.name,
    labels: JSON.stringify(site.labels),
    unknown_policy: site.unknown,
    baseline: site.baseline,
    membership: membership === null ? null : JSON.stringify(membership),
    join_token_hash: membership?.kind === "invited" ? membership.tokenHash : null,
    key_fingerprint: membership?.kind === "joined" ? membership.keyFingerprint : null,
    time_zone: site.timeZone,
    transfer_limits: JSON.stringify(site.transferLimits),
    last_seen_at: site.lastSeenAt,
    created_at: site.createdAt,
    revision: site.revision,
  };
}

export function rowToSite(row: Selectable<SitesTable>): SiteRecord {
  return {
    id: row.id,
    name: row.name,
    labels: JSON.parse(row.labels),
    unknown: row.unknown_policy as UnknownPolicy,
    baseline: row.baseline,
    membership: row.membership === null ? null : JSON.parse(row.membership),
    timeZone: row.time_zone,
    transferLimits: row.transfer_limits === null ? NO_LIMITS : JSON.parse(row.transfer_limits),
    lastSeenAt: toNumberOrNull(row.last_seen_at),
    createdAt: toNumber(row.created_at),
    revision: toNumber(row.revision),
  };
}

export function machineToRow(machine: MachineRecord): MachinesTable {
  const { state, running, target } = machine;
  const booting = state.kind === "booting" ? state.image : undefined;
  return {
    id: machine.id,
    site_id: machine.siteId,
    name: machine.name,
    labels: JSON.stringify(machine.labels),
    inventory: machine.inventory === null ? null : JSON.stringify(machine.inventory),
    key_fingerprint: machine.keyFingerprint,
    install_generation: machine.installGeneration,
    state_kind: state.kind,
    wanted_image: openIntent(state)?.image ?? booting ?? null,
    running_image: running?.image ?? null,
    target_image: target?.image ?? null,
    state: JSON.stringify(state),
    running: running === null ? null : JSON.stringify(running),
    target: target === null ? null : JSON.stringify(target),
    denied: JSON.stringify(machine.denied),
    created_at: machine.createdAt,
    updated_at: machine.updatedAt,
    last_seen_at: machine.lastSeenAt,
    revision: machine.revision,
  };
}

/** @param macs in the order of their positions */
export function rowToMachine(row: Selectable<MachinesTable>, macs: readonly MacAddress[]): MachineRecord {
  return {
    id: row.id,
    siteId: row.site_id,
    name: row.name,
    macs,
    labels: JSON.parse(row.labels),
    inventory: row.inventory === null ? null : JSON.parse(row.inventory),
    keyFingerprint: row.key_fingerprint,
    installGeneration: toNumber(row.install_generation),
    state: JSON.parse(row.state),
    running: row.running === null ? null : JSON.parse(row.running),
    target: row.target === null ? null : JSON.parse(row.target),
    denied: JSON.parse(row.denied),
    createdAt: toNumber(row.created_at),
    updatedAt: toNumber(row.updated_at),
    lastSeenAt: toNumberOrNull(row.last_seen_at),
    revision: toNumber(row.revision),
  };
}

export function imageToRow(image: ImageRecord): ImagesTable {
  return {
    digest: image.digest,
    name: image.name,
    version: image.version,
    architecture: image.architecture,
    size_bytes: image.sizeBytes,
    data_bytes: image.dataBytes,
    key_id: image.keyId,
    release: image.release,
    minimum_release: image.minimumRelease,
    pushed_at: image.pushedAt,
    pushed_by: image.pushedBy,
  };
}

export function rowToImage(row: Selectable<ImagesTable>): ImageRecord {
  return {
    digest: row.digest,
    name: row.name,
    version: row.version,
    architecture: row.architecture as Architecture,
    sizeBytes: toNumber(row.size_bytes),
    dataBytes: toNumber(row.data_bytes),
    keyId: row.key_id,
    release: toNumber(row.release),
    minimumRelease: toNumber(row.minimum_release),
    pushedAt: toNumber(row.pushed_at),
    pushedBy: row.pushed_by,
  };
}

export function imageTagToRow(tag: ImageTagRecord): ImageTagsTable {
  return {
    name: tag.name,
    tag: tag.tag,
    digest: tag.digest,
    version: tag.version,
    moved_at: tag.movedAt,
    moved_by: tag.movedBy,
    reason: tag.reason,
    revision: tag.revision,
  };
}

export function rowToImageTag(row: Selectable<ImageTagsTable>): ImageTagRecord {
  return {
    name: row.name,
    tag: row.tag,
    digest: row.digest,
    version: row.version,
    movedAt: toNumber(row.moved_at),
    movedBy: row.moved_by,
    reason: row.reason,
    revision: toNumber(row.revision),
  };
}

export function rolloutToRow(rollout: RolloutRecord): RolloutsTable {
  return {
    id: rollout.id,
    state_kind: rollout.state.kind,
    is_open: isEnded(rollout.state) ? 0 : 1,
    record: JSON.stringify(rollout),
    created_at: rollout.createdAt,
    revision: rollout.revision,
  };
}

export function rowToRollout(row: Selectable<RolloutsTable>): RolloutRecord {
  return JSON.parse(row.record);
}

export function deniedImageToRow(denied: DeniedImageRecord): DeniedImagesTable {
  return { digest: denied.digest, reason: denied.reason, rollout_id: denied.rolloutId, at: denied.at };
}

export function rowToDeniedImage(row: Selectable<DeniedImagesTable>): DeniedImageRecord {
  return { digest: row.digest, reason: row.reason, rolloutId: row.rollout_id, at: toNumber(row.at) };
}

export function tokenToRow(token: TokenRecord): TokensTable {
  return {
    id: token.id,
    name: token.name,
    role: token.role,
    secret_hash: token.secretHash,
    created_at: token.createdAt,
    expires_at: token.expiresAt,
  };
}

export function rowToToken(row: Selectable<TokensTable>): TokenRecord {
  return {
    id: row.id,
    name: row.name,
    role: row.role as Role,
    secretHash: row.secret_hash,
    createdAt: toNumber(row.created_at),
    expiresAt: toNumberOrNull(row.expires_at),
  };
}

export function eventToRow(event: EventRecord): EventsTable {
  return {
    id: event.id,
    at: event.at,
    kind: event.kind,
    severity: event.severity,
    site_id: event.siteId,
    machine_id: event.machineId,
    mac: event.mac,
    summary: event.summary,
    facts: JSON.stringify(event.facts),
  };
}

export function rowToEvent(row: Selectable<EventsTable>): EventRecord {
  return {
    id: toNumber(row.id),
    at: toNumber(row.at),
    kind: row.kind,
    severity: row.severity as EventSeverity,
    siteId: row.site_id,
    machineId: row.machine_id,
    mac: row.mac as MacAddress | null,
    summary: row.summary,
    facts: JSON.parse(row.facts),
  };
}
