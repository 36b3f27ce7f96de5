import { describe, expect, it } from "vitest";
import { type Ipv4, parseIpv4 } from "../../src/core/ipv4.ts";
import { ConflictProber } from "../../src/dhcp/io/conflict-prober.ts";

const LOOPBACK = parseIpv4("127.0.0.1") ?? (0 as Ipv4);

/** On loopback every address is this host's, and refuses the port. */
const ask = (prober: ConflictProber, number: number) =>
  prober.probe({ address: (LOOPBACK + number) as Ipv4, client: null, from: LOOPBACK });

describe("ConflictProber", () => {
  it("finds whoever refuses a packet, also where no neighbour can be seen", async () => {
    expect(await ask(new ConflictProber(), 1)).toEqual({ kind: "taken", mac: null });
  });

  it("asks after 128 addresses at once and then says that it is busy: the kernel's table is not ours alone", async () => {
    const prober = new ConflictProber();
    const asked = Array.from({ length: 128 }, (_, number) => {
      expect(prober.isBusy).toBe(false);
      return ask(prober, number);
    });
    expect(prober.isBusy).toBe(true);
    for (const outcome of await Promise.all(asked)) expect(outcome.kind).toBe("taken");
  });
});
