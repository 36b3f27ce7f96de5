/** What people read when a role has started: what is on and where, what is off and why. */

interface BannerInput {
  /** "drp 1.2.3 is running" */
  readonly title: string;
  readonly services: readonly {
    readonly name: string;
    readonly state: "on" | "off";
    readonly detail: string;
  }[];
  /** What else is good to know: label and text. */
  readonly facts: readonly (readonly [label: string, detail: string])[];
}

export function formatStartBanner({ title, services, facts }: BannerInput): string {
  const rows = [
    ...services.map(({ name, state, detail }) => [state === "off" ? `${name} off` : name, detail] as const),
    ...facts,
  ];
  const width = Math.max(...rows.map(([label]) => label.length));
  const lines = rows.map(([label, detail]) => `  ${label.padEnd(width)}  ${detail}`);
  return `${title}\n${lines.join("\n")}\n`;
}
