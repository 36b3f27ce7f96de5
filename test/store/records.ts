/** Small valid records for tests that need a store. */
import type { InstallIntent, MachineRecord } from "../../src/agent/hub/machine-record.ts";
import type { MacAddress } from "../../src/core/mac.ts";
import type { ImageDigest } from "../../src/images/manifest.ts";
import { NO_LIMITS } from "../../src/images/transfer-limits.ts";
import type { RolloutRecord } from "../../src/rollout/rollout-record.ts";
import type {
  ImageRecord,
  ImageTagRecord,
  NewEvent,
  SiteRecord,
  TokenRecord,
} from "../../src/store/ports.ts";

export const NOW = 1_790_000_000_000;

export function digestOf(letter: string): ImageDigest {
  return `sha256:${letter.repeat(64)}`;
}

export function macOf(last: number): MacAddress {
  return `52:54:00:00:00:${last.toString(16).padStart(2, "0")}` as MacAddress;
}

export function siteRecord(overrides: Partial<SiteRecord> = {}): SiteRecord {
  return {
    id: "s-local",
    name: "local",
    labels: {},
    unknown: "discover",
    baseline: null,
    membership: null,
    timeZone: "UTC",
    transferLimits: NO_LIMITS,
    lastSeenAt: null,
    createdAt: NOW,
    revision: 1,
    ...overrides,
  };
}

export function machineRecord(overrides: Partial<MachineRecord> = {}): MachineRecord {
  return {
    id: "m-1",
    siteId: "s-local",
    name: "node-1",
    macs: [macOf(1)],
    labels: {},
    inventory: null,
    keyFingerprint: null,
    installGeneration: 0,
    state: { kind: "expected" },
    running: null,
    target: null,
    denied: [],
    createdAt: NOW,
    updatedAt: NOW,
    lastSeenAt: null,
    revision: 1,
    ...overrides,
  };
}

export function rolloutRecord(overrides: Partial<RolloutRecord> = {}): RolloutRecord {
  return {
    id: "r-1",
    plan: {
      hash: "0".repeat(64),
      image: digestOf("b"),
      imageName: "app:v2",
      strategy: "ab",
      selector: "",
      seed: "seed",
      waves: [
        {
          label: "100%",
          sites: [
            {
              siteId: "s-local",
              name: "local",
              baselineBefore: digestOf("c"),
              machines: [{ machineId: "m-1", name: "node-1", from: digestOf("a") }],
            },
          ],
        },
      ],
      deferred: [],
      soakSeconds: 60,
      machineTimeoutSeconds: 900,
    },
    state: { kind: "running" },
    waves: [{ kind: "pending" }],
    machines: { "m-1": { kind: "queued" } },
    startedBy: "ops",
    createdAt: NOW,
    updatedAt: NOW,
    revision: 1,
    ...overrides,
  };
}

export function installIntent(image: ImageDigest, overrides: Partial<InstallIntent> = {}): InstallIntent {
  return {
    id: "i-1",
    image,
    installGeneration: 1,
    diskPath: null,
    wipe: false,
    createdAt: NOW,
    createdBy: "ops",
    expiresAt: NOW + 3_600_000,
    attempts: 0,
    maxAttempts: 3,
    ...overrides,
  };
}

export function imageRecord(overrides: Partial<ImageRecord> = {}): ImageRecord {
  return {
    digest: digestOf("a"),
    name: "app",
    version: "v1",
    architecture: "amd64",
    sizeBytes: 4096,
    dataBytes: 4096,
    keyId: "k".repeat(64),
    release: 1,
    minimumRelease: 0,
    pushedAt: NOW,
    pushedBy: "ci",
    ...overrides,
  };
}

export function imageTagRecord(overrides: Partial<ImageTagRecord> = {}): ImageTagRecord {
  return {
    name: "app",
    tag: "stable",
    digest: digestOf("a"),
    version: "v1",
    movedAt: NOW,
    movedBy: "ops",
    reason: null,
    revision: 1,
    ...overrides,
  };
}

export function tokenRecord(overrides: Partial<TokenRecord> = {}): TokenRecord {
  return {
    id: "t-1",
    name: "ops",
    role: "operator",
    secretHash: "0".repeat(64),
    createdAt: NOW,
    expiresAt: null,
    ...overrides,
  };
}

export function newEvent(overrides: Partial<NewEvent> = {}): NewEvent {
  return {
    at: NOW,
    kind: "test.happened",
    severity: "info",
    siteId: null,
    machineId: null,
    mac: null,
    summary: "something happened",
    facts: {},
    ...overrides,
  };
}
