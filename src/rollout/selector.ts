/**
 * Reads "region=eu,tier!=lab,site=berlin": which sites a rollout is for. Every term must hold; `site` is the site's name,
 * any other key one of its labels. A site without the label differs from every value.
 */
import type { FleetSite } from "./fleet.ts";
import type { Refusal } from "./refusal.ts";

interface Term {
  readonly key: string;
  readonly operator: "=" | "!=";
  readonly value: string;
}

export type SelectorOutcome =
  | { readonly kind: "selector"; readonly matches: (site: FleetSite) => boolean }
  | Refusal;

const TERM = /^\s*([A-Za-z0-9][A-Za-z0-9._/-]{0,62})\s*(!?=)\s*([A-Za-z0-9._-]{1,63})\s*$/;

/** @param text empty: every site */
export function parseSelector(text: string): SelectorOutcome {
  const terms: Term[] = [];
  let position = 1;
  for (const part of text.trim() === "" ? [] : text.split(",")) {
    const [, key, operator, value] = TERM.exec(part) ?? [];
    if (key === undefined || value === undefined) return refuse(text, part, position);
    terms.push({ key, operator: operator === "!=" ? "!=" : "=", value });
    position += part.length + 1;
  }
  return { kind: "selector", matches: site => terms.every(term => holds(term, site)) };
}

function holds({ key, operator, value }: Term, site: FleetSite): boolean {
  const actual = key === "site" ? site.name : site.labels[key];
  return (actual === value) === (operator === "=");
}

function refuse(text: string, part: string, position: number): Refusal {
  return {
    kind: "refused",
    code: "request.invalid",
    reason: `the selector "${text}" cannot be read at position ${position}: "${part.trim()}" is neither KEY=VALUE nor KEY!=VALUE`,
    advice: "Join terms by commas, for example: --selector 'region=eu,tier!=lab,site=berlin'",
  };
}
