/** One line of a machine's timeline: a packet, a decision, a transfer. The kinds are listed in docs/booting.md. */
export interface BootEvent {
  /** "dhcp.offer", "tftp.done" */
  readonly kind: string;
  /** One sentence for people, with the reason. */
  readonly summary: string;
  readonly facts: Readonly<Record<string, string | number | boolean>>;
}
