import { expect, it } from "vitest";
import { parsePerfdhcp, perfdhcpArguments } from "../../bench/perfdhcp.ts";

/** perfdhcp 2.2.0 of Debian 12; what is not read is left out. */
const REPORT = `Running: perfdhcp -4 -l lan0 -r 2000 -p 4 -R 8800 -b mac=02:00:01:00:00:00 -d 1 -W 1000000 10.0.0.1
***Rate statistics***
Rate: 1599.73 4-way exchanges/second, expected rate: 2000

***Statistics for: DISCOVER-OFFER***
sent packets: 8000
received packets: 7990
drops: 10
drops ratio: 0.125 %

***Statistics for: REQUEST-ACK***
sent packets: 7990
received packets: 7984
drops: 6
`;

it("parsePerfdhcp() counts completed exchanges over the time of sending, and drops of both kinds", () => {
  expect(parsePerfdhcp(REPORT, 4)).toEqual({
    exchangesPerSecond: 1996,
    exchanges: 7984,
    dropRatio: 16 / 15_990,
  });
});

it("parsePerfdhcp() says what perfdhcp said when that is no report", () => {
  expect(() => parsePerfdhcp("Failed to open socket", 4)).toThrow("Failed to open socket");
});

it("perfdhcpArguments() gives each run machines of its own, more than it can use", () => {
  const load = {
    offeredPerSecond: 2000,
    seconds: 4,
    run: 31,
    interfaceName: "lan0",
    serverAddress: "10.0.0.1",
  };
  expect(perfdhcpArguments(load).join(" ")).toBe(
    "-4 -l lan0 -r 2000 -p 4 -R 8800 -b mac=02:00:1f:00:00:00 -d 1 -W 1000000 10.0.0.1",
  );
});
