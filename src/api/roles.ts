/** Who may do what: each role may do everything that the ones after it may. */
import { ROLES, type Role } from "../store/ports.ts";

/** @param least the least role that may */
export function roleAllows(role: Role, least: Role): boolean {
  return ROLES.indexOf(role) <= ROLES.indexOf(least);
}
