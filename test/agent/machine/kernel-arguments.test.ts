import { describe, expect, test } from "vitest";
import { parseInstallArguments, parseRunArguments } from "../../../src/agent/machine/kernel-arguments.ts";

const INSTALL =
  "initrd=ramdisk console=ttyS0 drp.site=https://10.0.0.1:8443 drp.boot=http://10.0.0.1:8091 drp.token=t0k= drp.mac=52:54:00:12:34:56\n";
const DIGEST = `sha256:${"0f".repeat(32)}`;

describe("parseInstallArguments()", () => {
  test("reads what the boot script gave, whatever else is on the line", () => {
    expect(parseInstallArguments(INSTALL)).toEqual({
      siteUrl: "https://10.0.0.1:8443",
      bootUrl: "http://10.0.0.1:8091",
      bootToken: "t0k=",
      bootMac: "52:54:00:12:34:56",
    });
  });

  test.each(["drp.site", "drp.boot", "drp.token", "drp.mac"])("names %s when it is missing", name => {
    const without = INSTALL.split(" ").filter(pair => !pair.startsWith(`${name}=`));
    expect(() => parseInstallArguments(without.join(" "))).toThrow(`no valid ${name}`);
  });

  test("accepts no machine channel without TLS", () => {
    expect(() => parseInstallArguments(INSTALL.replace("https:", "http:"))).toThrow("no valid drp.site");
  });
});

describe("parseRunArguments()", () => {
  test("reads slot and digest", () => {
    expect(parseRunArguments(`root=PARTUUID=x ro drp.slot=b drp.digest=${DIGEST}`)).toEqual({
      slot: "b",
      image: DIGEST,
    });
  });

  test("names what is missing or malformed", () => {
    expect(() => parseRunArguments(`drp.digest=${DIGEST}`)).toThrow("no valid drp.slot");
    expect(() => parseRunArguments("drp.slot=a drp.digest=sha256:12")).toThrow("no valid drp.digest");
    expect(() => parseRunArguments("")).toThrow("no valid drp.slot");
  });
});
