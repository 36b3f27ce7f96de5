import { defineConfig } from "vitest/config";

/** What keeps both cores busy and reads the clock: machines under software emulation, and DHCP under load. */
const ALONE = [
  "test/lab/**/*.test.ts",
  "test/boot/disk-boot.test.ts",
  "test/boot/grub-choice.test.ts",
  "test/pxe/{network,interfaces,dhcp-conflict,lease-questions,other-server,proxy-network}.test.ts",
  "test/pxe/clients/*.test.ts",
  "test/fuzz/fuzz.test.ts",
];

/** These end a test that hangs; none is a bar. A busy host needs seconds for each process that a test starts. */
const shared = { testTimeout: 60_000, hookTimeout: 60_000 };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...shared,
          name: "side by side",
          include: ["test/**/*.test.ts"],
          exclude: ALONE,
          maxWorkers: "100%",
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...shared,
          name: "one at a time",
          include: ALONE,
          disableConsoleIntercept: true,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
