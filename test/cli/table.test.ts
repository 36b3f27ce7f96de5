import { expect, test } from "vitest";
import type { Machine } from "../../src/api/wire.ts";
import { machineColumns } from "../../src/cli/format/machine-view.ts";
import { renderBar } from "../../src/cli/format/render-bar.ts";
import { type Paint, renderTable } from "../../src/cli/format/table.ts";

const NOW = 1_790_000_000_000;
const V2 = `sha256:${"2".repeat(64)}`;
const plain: Paint = (_tone, text) => text;

const base: Machine = {
  id: "m-1",
  siteId: "s-1",
  siteName: "local",
  name: "till-1",
  macs: ["52:54:00:00:00:01"],
  labels: {},
  inventory: null,
  installGeneration: 0,
  state: { kind: "expected" },
  running: null,
  target: null,
  denied: [],
  createdAt: NOW,
  updatedAt: NOW,
  lastSeenAt: null,
  revision: 1,
};

const intent = {
  id: "i-1",
  image: V2,
  installGeneration: 1,
  diskPath: null,
  wipe: false,
  createdAt: NOW,
  createdBy: "admin",
  expiresAt: NOW,
  attempts: 1,
  maxAttempts: 3,
};

const running = {
  image: `sha256:${"1".repeat(64)}`,
  imageName: "app:v1",
  slot: "a" as const,
  bootId: "",
  bootCount: 1,
  seq: 9,
  uptimeSeconds: 60,
  agentVersion: "0.1.0",
  health: [
    { name: "app", status: "pass" as const, detail: "" },
    { name: "disk", status: "fail" as const, detail: "full" },
  ],
  slotConfirmed: true,
  update: null,
  receivedAt: NOW,
};

const machines: Machine[] = [
  base,
  {
    ...base,
    name: "till-2",
    macs: ["52:54:00:00:00:02", "52:54:00:00:00:03"],
    state: { kind: "unhealthy", reason: "disk: full" },
    running,
    lastSeenAt: NOW - 12_000,
  },
  {
    ...base,
    name: "kiosk-in-the-entrance",
    lastSeenAt: NOW,
    state: { kind: "installing", intent, phase: "writing", doneBytes: 430, totalBytes: 1000 },
  },
];

const view = {
  now: NOW,
  nameOf: () => "app:v2",
  leases: [{ address: "10.0.0.7", mac: "52:54:00:00:00:02", hostname: null, subnet: "", expiresAt: NOW }],
};

test("machines read as a table with progress, image on its way, failing check and address", () => {
  expect(renderTable(machines, machineColumns(view), Infinity, plain)).toMatchInlineSnapshot(`
    "NAME                   STATE           IMAGE     SLOT  HEALTH      LAST SEEN  ADDRESS   MAC                   SITE
    till-1                 expected        -         -     -           never      -         52:54:00:00:00:01     local
    till-2                 unhealthy       app:v1    a     disk: fail  12 s ago   10.0.0.7  52:54:00:00:00:02 +1  local
    kiosk-in-the-entrance  installing 43%  → app:v2  -     -           now        -         52:54:00:00:00:01     local
    "
  `);
});

test("a narrow terminal keeps what matters and names what it left out", () => {
  const text = renderTable(machines, machineColumns(view), 60, plain);
  expect(text).toMatchInlineSnapshot(`
    "NAME                   STATE           IMAGE     HEALTH
    till-1                 expected        -         -
    till-2                 unhealthy       app:v1    disk: fail
    kiosk-in-the-entrance  installing 43%  → app:v2  -
    no room for SLOT, LAST SEEN, ADDRESS, MAC, SITE
    "
  `);
  for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(60);
});

test("no width breaks a table", () => {
  for (let width = 20; width < 160; width++) {
    for (const line of renderTable(machines, machineColumns(view), width, plain).split("\n")) {
      expect(line.length).toBeLessThanOrEqual(width);
    }
  }
});

test("escape sequences from a hostile machine do not reach the terminal", () => {
  const hostile = { ...base, name: "a\u001b[2Jb\u0007c" };
  const text = renderTable([hostile], machineColumns(view), Infinity, plain);
  expect(text).toContain("ab c");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f]/);
});

test("a state that this version does not know shows as it is", () => {
  const newer = { ...base, state: { kind: "draining" } } as unknown as Machine;
  expect(renderTable([newer], machineColumns(view), Infinity, plain)).toContain("draining");
});

test("a progress bar shows phase, share, rate and time left, and fits", () => {
  const progress = { label: "writing", doneBytes: 512 * 2 ** 20, totalBytes: 2 ** 30, rate: 64 * 2 ** 20 };
  expect(renderBar(progress, 80)).toBe("writing  ███████████████░░░░░░░░░░░░░░░   50%  64.0 MiB/s  8 s left");
  for (let width = 10; width < 120; width++)
    expect(renderBar(progress, width).length).toBeLessThanOrEqual(width);
});

test("a long sentence is cut before another column gives way", () => {
  const columns = [
    { title: "TIME", cell: () => "12:00:00", dropFirst: 1 },
    { title: "SIZE", cell: () => "7 B", align: "right" as const },
    {
      title: "WHAT HAPPENED",
      cell: () => "a sentence that is longer than the terminal is wide",
      shrinkTo: 20,
    },
  ];
  expect(renderTable([0], columns, 40, plain)).toBe(
    "TIME      SIZE  WHAT HAPPENED\n12:00:00   7 B  a sentence that is long…\n",
  );
});
