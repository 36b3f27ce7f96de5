/** What a request line asks for (RFC 9112 §3.2), as one name that is looked up and never becomes a path on our disk. */

export type RequestTarget =
  | { readonly kind: "name"; readonly path: string; readonly query: URLSearchParams }
  /** @param reason follows "the request target" */
  | { readonly kind: "malformed"; readonly reason: string };

/**
 * Percent-escapes are decoded once. Repeated slashes are one: firmware and boot loaders join a folder and a name with a slash
 * too many (GRUB's "(http,server)//name", shim's loader beside itself). Dot segments are refused: nothing is beside them.
 *
 * @param target origin-form ("/loaders/ipxe.efi?x=1") or absolute-form ("http://10.0.0.1/loaders/ipxe.efi", which RFC 9112
 *   §3.2.2 has every server accept); one character per byte, as Node gives it
 */
export function parseRequestTarget(target: string): RequestTarget {
  const local = target.replace(/^https?:\/\/[^/?#]*/i, "").replace(/#.*$/s, "");
  const mark = local.indexOf("?");
  const escaped = mark === -1 ? local : local.slice(0, mark);
  const path = decodePercent(escaped === "" && local !== target ? "/" : escaped)?.replace(/\/{2,}/g, "/");
  if (path === undefined) return { kind: "malformed", reason: "has a percent-escape that is none" };
  if (!path.startsWith("/")) return { kind: "malformed", reason: "does not begin with a slash" };
  if (/\p{Cc}/u.test(path)) return { kind: "malformed", reason: "has a control character" };
  if (/(^|\/)\.{1,2}(\/|$)/.test(path)) return { kind: "malformed", reason: "has a dot segment" };
  return { kind: "name", path, query: new URLSearchParams(mark === -1 ? "" : local.slice(mark + 1)) };
}

function decodePercent(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
