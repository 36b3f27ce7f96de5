/** What differs between two images, on one screen: how it boots and what it carries first, then packages, then files. */
import type { FileChange, ImageDiff } from "../../api/wire.ts";
import { formatBytes, shortDigest } from "../../core/bytes.ts";
import { plural } from "./rollout-words.ts";
import { type Column, type Paint, renderFields, renderTable, type Tone } from "./table.ts";

/** With the summary above, they fit a terminal of 50 lines. */
const SHOWN_PACKAGES = 15;
const SHOWN_FILES = 20;

export function renderDiff(diff: ImageDiff, showAll: boolean, widthColumns: number, paint: Paint): string {
  const packages = packageRows(diff);
  const files = fileRows(diff);
  const shownPackages = showAll ? packages : packages.slice(0, SHOWN_PACKAGES);
  const shownFiles = showAll ? files : files.slice(0, SHOWN_FILES);
  const more = (what: string, left: number) =>
    left === 0 ? "" : paint("quiet", `… and ${plural(left, what)} more: --all, or -o json\n`);
  const omitted = diff.files.kind === "compared" ? diff.files.omitted : 0;
  const parts = [renderFields(summary(diff), paint)];
  if (packages.length > 0) {
    const table = renderTable(shownPackages, packageColumns, widthColumns, paint);
    parts.push(table + more("package", packages.length - shownPackages.length));
  }
  if (files.length > 0) {
    const table = renderTable(shownFiles, fileColumns, widthColumns, paint);
    parts.push(table + more("file", files.length + omitted - shownFiles.length));
  }
  return parts.join("\n");
}

function summary({ before, after, manifest, chunks, packages, files }: ImageDiff): [string, string][] {
  const name = (image: ImageDiff["before"]) => `${image.name}:${image.version} ${shortDigest(image.digest)}`;
  const fields: [string, string][] = [
    ["From", `${name(before)}, release ${before.release}, ${formatBytes(before.sizeBytes)}`],
    ["To", `${name(after)}, release ${after.release}, ${formatBytes(after.sizeBytes)}`],
  ];
  if (before.minimumRelease !== after.minimumRelease)
    fields.push([
      "May replace",
      `release ${after.minimumRelease} and later; before: ${before.minimumRelease} and later`,
    ]);
  if (before.architecture !== after.architecture)
    fields.push(["Architecture", `${before.architecture} → ${after.architecture}`]);
  const names: [string, ImageDiff["manifest"]["healthChecks"]][] = [
    ["Kernel arguments", manifest.kernelArguments],
    ["Health checks", manifest.healthChecks],
    ["Hooks and SBOM", manifest.attachments],
  ];
  for (const [title, changes] of names) {
    const text = namesText(changes);
    if (text !== "") fields.push([title, text]);
  }
  fields.push(
    ["Chunks", `${formatBytes(chunks.newBytes)} new, ${formatBytes(chunks.sharedBytes)} shared`],
    ["Packages", packagesText(packages)],
    ["Files", filesText(files)],
  );
  return fields;
}

/** "+quiet −debug ~console" */
function namesText({ added, removed, changed }: ImageDiff["manifest"]["healthChecks"]): string {
  return [
    ...added.map(name => `+${name}`),
    ...removed.map(name => `−${name}`),
    ...changed.map(name => `~${name}`),
  ].join(" ");
}

function packagesText(packages: ImageDiff["packages"]): string {
  if (packages.kind === "not-compared") return `not compared: ${packages.reason}`;
  const { added, removed, changed } = packages;
  return `${added.length} added, ${removed.length} removed, ${changed.length} changed`;
}

function filesText(files: ImageDiff["files"]): string {
  if (files.kind === "not-compared") return `not compared: ${files.reason}`;
  const { added, removed, changed, addedBytes, removedBytes, changedBytes } = files.totals;
  return [
    `${added} added (${formatBytes(addedBytes)})`,
    `${removed} removed (${formatBytes(removedBytes)})`,
    `${changed} changed (${formatBytes(changedBytes)})`,
  ].join(", ");
}

interface Row {
  readonly sign: "+" | "−" | "~";
  readonly name: string;
  readonly what: string;
  readonly size: string;
}

const TONES: Readonly<Record<Row["sign"], Tone>> = { "+": "good", "−": "bad", "~": "plain" };
const tone = ({ sign }: Row) => TONES[sign];

const packageColumns: Column<Row>[] = [
  { title: "", cell: row => row.sign, tone },
  { title: "PACKAGE", cell: row => row.name, tone },
  { title: "VERSION", cell: row => row.what },
];

const fileColumns: Column<Row>[] = [
  { title: "", cell: row => row.sign, tone },
  { title: "SIZE", cell: row => row.size, align: "right" },
  { title: "FILE", cell: row => row.name, shrinkTo: 30, tone },
  { title: "WHAT", cell: row => row.what, shrinkTo: 12, dropFirst: 1 },
];

function packageRows({ packages }: ImageDiff): Row[] {
  if (packages.kind === "not-compared") return [];
  const size = "";
  return [
    ...packages.changed.map(({ name, before, after }) => ({
      sign: "~" as const,
      name,
      what: `${before} → ${after}`,
      size,
    })),
    ...packages.added.map(({ name, version }) => ({ sign: "+" as const, name, what: version, size })),
    ...packages.removed.map(({ name, version }) => ({ sign: "−" as const, name, what: version, size })),
  ];
}

/** The largest first; a new mode, owner or capability before any of them: nobody should have to look for a setuid bit. */
function fileRows({ files }: ImageDiff): Row[] {
  if (files.kind === "not-compared") return [];
  return files.changes
    .filter(({ type, change }) => type !== "directory" || change === "changed")
    .sort((one, other) => rank(other) - rank(one) || weight(other) - weight(one))
    .map(change => ({
      sign: change.change === "added" ? "+" : change.change === "removed" ? "−" : "~",
      name: `/${change.path}`,
      size: sizeText(change),
      what: whatText(change),
    }));
}

function rank({ mode, owner, attributes, kind }: FileChange): number {
  return [mode, owner, attributes, kind].some(part => part !== undefined) ? 1 : 0;
}

function weight({ content, change, sizeBefore, sizeAfter }: FileChange): number {
  return change === "changed" && !content ? 0 : Math.max(sizeBefore ?? 0, sizeAfter ?? 0);
}

function sizeText({ change, content, sizeBefore, sizeAfter, type }: FileChange): string {
  if (type !== "file") return type;
  if (change !== "changed") return formatBytes(sizeAfter ?? sizeBefore ?? 0);
  if (!content) return "";
  return sizeBefore === sizeAfter || sizeBefore === null || sizeAfter === null
    ? formatBytes(sizeAfter ?? 0)
    : `${formatBytes(sizeBefore)} → ${formatBytes(sizeAfter)}`;
}

function whatText({ content, kind, mode, owner, target, attributes }: FileChange): string {
  const pair = (name: string, of: { before: string; after: string } | undefined) =>
    of === undefined ? [] : [`${name} ${of.before || "none"} → ${of.after || "none"}`];
  return [
    ...pair("type", kind),
    ...pair("mode", mode),
    ...pair("owner", owner),
    ...pair("to", target),
    ...(attributes ?? []),
    ...(content && mode === undefined && owner === undefined ? ["content"] : []),
  ].join(", ");
}
