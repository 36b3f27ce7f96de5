/** The dashboard's session: the token in a cookie that scripts cannot read and other sites cannot send. */

/** `__Host-`: browsers take it only with Secure, with Path=/ and without a Domain. */
const NAME = "__Host-drp-session";
const ATTRIBUTES = "Path=/; HttpOnly; Secure; SameSite=Strict";
/** A working day; the token itself may end sooner. */
const MAX_AGE_SECONDS = 12 * 3600;

/** @param token null ends the session */
export function formatSessionCookie(token: string | null): string {
  if (token === null) return `${NAME}=; ${ATTRIBUTES}; Max-Age=0`;
  return `${NAME}=${encodeURIComponent(token)}; ${ATTRIBUTES}; Max-Age=${MAX_AGE_SECONDS}`;
}

/** @param header of the request */
export function readSessionCookie(header: string | undefined): string | undefined {
  for (const pair of header?.split(";") ?? []) {
    const [name, value] = pair.trim().split("=", 2);
    if (name === NAME && value !== undefined && value !== "") return value;
  }
  return undefined;
}
