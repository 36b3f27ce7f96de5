/** Which packages an image holds, as its package manager wrote it down, and what differs between two. */

export interface Package {
  /** With its architecture where a system has several: "libc6:amd64". */
  readonly name: string;
  readonly version: string;
}

export interface PackageChanges {
  readonly added: readonly Package[];
  readonly removed: readonly Package[];
  readonly changed: readonly { readonly name: string; readonly before: string; readonly after: string }[];
}

/** Debian's /var/lib/dpkg/status: paragraphs, of which those count that are installed (deb822(5), dpkg-query(1)). */
export function parseDpkgStatus(text: string): Package[] {
  return text.split(/\n\n+/).flatMap(paragraph => {
    const fields = readFields(paragraph, /^([A-Za-z-]+):[ \t]*(.*)$/);
    const name = fields.get("Package");
    const version = fields.get("Version");
    // Distroless images keep a file for each package, without a status.
    const isInstalled = (fields.get("Status") ?? "install ok installed").endsWith(" installed");
    if (name === undefined || version === undefined || !isInstalled) return [];
    const architecture = fields.get("Architecture");
    return [{ name: architecture === undefined ? name : `${name}:${architecture}`, version }];
  });
}

/** Alpine's /lib/apk/db/installed: P: and V: lines (apk-package(5)). */
export function parseApkInstalled(text: string): Package[] {
  return text.split(/\n\n+/).flatMap(paragraph => {
    const fields = readFields(paragraph, /^([A-Z]):(.*)$/);
    const name = fields.get("P");
    const version = fields.get("V");
    return name === undefined || version === undefined ? [] : [{ name, version }];
  });
}

/** Later lines of a field, which begin with a blank, are left out. */
function readFields(paragraph: string, line: RegExp): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const text of paragraph.split("\n")) {
    const [, name, value] = line.exec(text) ?? [];
    if (name !== undefined && value !== undefined && !fields.has(name)) fields.set(name, value.trim());
  }
  return fields;
}

export function comparePackages(before: readonly Package[], after: readonly Package[]): PackageChanges {
  const older = new Map(before.map(({ name, version }) => [name, version]));
  const newer = new Map(after.map(({ name, version }) => [name, version]));
  const listed = (packages: ReadonlyMap<string, string>) =>
    [...packages].map(([name, version]) => ({ name, version })).sort(byName);
  return {
    added: listed(newer).filter(({ name }) => !older.has(name)),
    removed: listed(older).filter(({ name }) => !newer.has(name)),
    changed: listed(newer).flatMap(({ name, version }) => {
      const old = older.get(name);
      return old === undefined || old === version ? [] : [{ name, before: old, after: version }];
    }),
  };
}

function byName(one: Package, other: Package): number {
  return one.name < other.name ? -1 : 1;
}
