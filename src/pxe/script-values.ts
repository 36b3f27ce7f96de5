/** What may be put into a line of a boot script: so no name, URL or kernel argument can become a command, in iPXE or in GRUB. */

/** iPXE expands `${…}`, joins at `&&`, `||` and `;`, and splits at blanks: none of their characters may pass. */
const SAFE_URL = /^https?:\/\/[A-Za-z0-9.:[\]-]+(\/[A-Za-z0-9._~%/:=?@+-]*)?$/;
/** GRUB's quotes, `$`, `{`, `<`, `>`, `|`, `&`, `;` and `#` are not among these either. */
const SAFE_ARGUMENT = /^[A-Za-z0-9_.,:=/@+%~-]{1,512}$/;

/** @throws {RangeError} naming what a script cannot hold safely */
export function safeUrl(text: string): string {
  return checked(text, SAFE_URL);
}

/** @throws {RangeError} naming what a script cannot hold safely */
export function safeArgument(text: string): string {
  return checked(text, SAFE_ARGUMENT);
}

/** Words for a person: whatever a script could read as more than text becomes a dash. */
export function printable(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9 .,:()/@_+-]/g, "-").slice(0, 200);
}

function checked(text: string, allowed: RegExp): string {
  if (!allowed.test(text)) throw new RangeError(`${JSON.stringify(text)} cannot be put into a boot script`);
  return text;
}
