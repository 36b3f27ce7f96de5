/** drp.yaml as a tree of values that still knows on which line each of them stands. */
import { type Document, LineCounter, parseDocument } from "yaml";
import { configError } from "./config-error.ts";

export interface ConfigFile {
  readonly path: string;
  readonly text: string;
}

export interface ConfigSource {
  readonly tree: Record<string, unknown>;
  /** "drp.yaml:7" */
  where(path: readonly PropertyKey[]): string;
}

/** @throws {DrpError} config.invalid for text that is no YAML or holds no keys */
export function readConfigFile(file: ConfigFile | undefined): ConfigSource {
  if (file === undefined) return { tree: {}, where: () => "configuration" };
  const lineCounter = new LineCounter();
  const document = parseDocument(file.text, { lineCounter });
  if (document.errors.length > 0) {
    const lines = document.errors.map(error => {
      // The library's message goes on with a drawing of the line.
      const reason = error.message.split("\n")[0]?.replace(/ at line \d+.*$/, "");
      return `${file.path}:${lineCounter.linePos(error.pos[0]).line}: ${reason}`;
    });
    throw configError(lines);
  }
  const tree: unknown = document.toJS() ?? {};
  if (typeof tree !== "object" || tree === null || Array.isArray(tree)) {
    throw configError([`${file.path}:1: the file must hold keys and values`]);
  }
  return {
    tree: tree as Record<string, unknown>,
    where: path => `${file.path}:${lineOf(document, lineCounter, path)}`,
  };
}

/** Of the key itself, or of the nearest thing around it that is there. */
function lineOf(document: Document.Parsed, lineCounter: LineCounter, path: readonly PropertyKey[]): number {
  for (let length = path.length; length > 0; length--) {
    const offset = offsetOf(document, path.slice(0, length));
    if (offset !== undefined) return lineCounter.linePos(offset).line;
  }
  return 1;
}

interface YamlNode {
  readonly range?: readonly number[] | null;
  readonly items?: readonly { readonly key?: { readonly value?: unknown } & YamlNode }[];
}

function offsetOf(document: Document.Parsed, path: readonly PropertyKey[]): number | undefined {
  const last = path.at(-1);
  const parent = (
    path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
  ) as YamlNode | null;
  // YAML reads the key of an option's code as a number, JavaScript as a text.
  const pair = parent?.items?.find?.(
    item => item.key !== undefined && String(item.key.value) === String(last),
  );
  const node = pair?.key ?? (document.getIn(path, true) as YamlNode | null | undefined);
  return node?.range?.[0];
}
