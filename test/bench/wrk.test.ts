import { describe, expect, it } from "vitest";
import { parseMegabytesPerSecond } from "../../bench/wrk.ts";

/** Of wrk 4.1.0. */
const report = (rate: string, more = "") => `Running 5s test @ http://10.0.0.1:8091/ramdisk/vmlinuz
  1 threads and 50 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.94s   502.67ms   3.05s    70.00%
    Req/Sec    16.50      9.19    23.00    100.00%
  90 requests in 5.00s, 6.02GB read
${more}Requests/sec:     17.98
Transfer/sec:     ${rate}
`;

describe("parseMegabytesPerSecond()", () => {
  it.each([
    ["1.20GB", 1288.49],
    ["860.71MB", 902.52],
    ["512.00KB", 0.524],
  ])("reads %s", (rate, megabytes) => {
    expect(parseMegabytesPerSecond(report(rate))).toBeCloseTo(megabytes, 2);
  });

  it("takes no figure of a run that failed in part", () => {
    const failed = "  Socket errors: connect 0, read 12, write 0, timeout 0\n";
    expect(() => parseMegabytesPerSecond(report("1.20GB", failed))).toThrow("read 12");
    expect(() => parseMegabytesPerSecond("unable to connect")).toThrow("unable to connect");
  });
});
