/** The client architectures of DHCP option 93, as IANA registers them, and for which of them a loader can be had. */

/** Processor and firmware interface of a loader file. */
export type LoaderTarget =
  | "bios"
  | "ia32-uefi"
  | "x64-uefi"
  | "arm32-uefi"
  | "arm64-uefi"
  | "riscv64-uefi"
  | "loongarch64-uefi"
  | "raspberry-pi";

export interface ClientArchitecture {
  /** As the registry has it, for people. */
  readonly name: string;
  /** How the client fetches its loader: by TFTP and a name, or by HTTP and an URL. */
  readonly via: "pxe" | "http";
  /** Null: no loader of any site would start there. */
  readonly target: LoaderTarget | null;
}

/**
 * IANA, "Processor Architecture Types" (DHCPv6 registry, RFC 5970 §3.3; for DHCPv4 RFC 4578 §2.1). RFC 4578 swapped 7 and 9
 * (erratum 4624): 9 is registered for EBC, and firmware sends either for x64. 10 is 32-bit ARM and never gets arm64's file.
 */
export const CLIENT_ARCHITECTURES: ReadonlyMap<number, ClientArchitecture> = new Map([
  [0, pxe("BIOS", "bios")],
  [1, pxe("NEC PC98")],
  [2, pxe("Itanium")],
  [3, pxe("DEC Alpha")],
  [4, pxe("Arc x86")],
  [5, pxe("Intel Lean Client")],
  [6, pxe("IA32 UEFI", "ia32-uefi")],
  [7, pxe("x64 UEFI", "x64-uefi")],
  [8, pxe("EFI Xscale")],
  [9, pxe("x64 UEFI (registered for EBC)", "x64-uefi")],
  [10, pxe("ARM 32-bit UEFI", "arm32-uefi")],
  [11, pxe("ARM 64-bit UEFI", "arm64-uefi")],
  [12, pxe("PowerPC Open Firmware")],
  [13, pxe("PowerPC ePAPR")],
  [14, pxe("POWER OPAL v3")],
  [15, http("IA32 UEFI", "ia32-uefi")],
  [16, http("x64 UEFI", "x64-uefi")],
  [17, http("EBC UEFI")],
  [18, http("ARM 32-bit UEFI", "arm32-uefi")],
  [19, http("ARM 64-bit UEFI", "arm64-uefi")],
  [20, http("BIOS")],
  [21, pxe("ARM 32-bit U-Boot")],
  [22, pxe("ARM 64-bit U-Boot")],
  [23, http("ARM 32-bit U-Boot")],
  [24, http("ARM 64-bit U-Boot")],
  [25, pxe("RISC-V 32-bit UEFI")],
  [26, http("RISC-V 32-bit UEFI")],
  [27, pxe("RISC-V 64-bit UEFI", "riscv64-uefi")],
  [28, http("RISC-V 64-bit UEFI", "riscv64-uefi")],
  [29, pxe("RISC-V 128-bit UEFI")],
  [30, http("RISC-V 128-bit UEFI")],
  [31, pxe("s390 Basic")],
  [32, pxe("s390 Extended")],
  [33, pxe("MIPS 32-bit UEFI")],
  [34, pxe("MIPS 64-bit UEFI")],
  [35, pxe("Sunway 32-bit UEFI")],
  [36, pxe("Sunway 64-bit UEFI")],
  [37, pxe("LoongArch 32-bit UEFI")],
  [38, http("LoongArch 32-bit UEFI")],
  [39, pxe("LoongArch 64-bit UEFI", "loongarch64-uefi")],
  [40, http("LoongArch 64-bit UEFI", "loongarch64-uefi")],
  [41, pxe("Raspberry Pi", "raspberry-pi")],
]);

function pxe(name: string, target: LoaderTarget | null = null): ClientArchitecture {
  return { name, via: "pxe", target };
}

function http(name: string, target: LoaderTarget | null = null): ClientArchitecture {
  return { name, via: "http", target };
}
