/** Stable names for what differs from run to run: the first transaction is xid#1, the first machine client#1. */

export type NamedKind = "client" | "xid" | "uuid" | "port" | "etag" | "duid" | "iaid" | "tftp";

export class Names {
  private readonly byKind = new Map<NamedKind, Map<string, string>>();

  /** @param value anything that tells it apart: the same value has the same name in one exchange */
  of(kind: NamedKind, value: string): string {
    const names = this.byKind.get(kind) ?? new Map<string, string>();
    this.byKind.set(kind, names);
    const name = names.get(value) ?? `${kind}#${names.size + 1}`;
    names.set(value, name);
    return name;
  }

  /** The text with each hardware address in it named, also where an URL has its colons escaped. */
  nameMacs(text: string): string {
    return text.replaceAll(/\b[0-9a-f]{2}(?:(?::|%3a)[0-9a-f]{2}){5}\b/gi, mac =>
      this.of("client", mac.toLowerCase().replaceAll(/:|%3a/g, "")),
    );
  }
}
