/** Pure files take time, randomness and effects as arguments. Everything else is biome's. */
import tseslint from "typescript-eslint";

const TIMERS = ["Date", "performance", "setTimeout", "setInterval", "setImmediate", "queueMicrotask"];
const EFFECTS = ["process", "console", "fetch", "crypto"];

export default [
  { files: ["**/*.ts"], languageOptions: { parser: tseslint.parser } },
  {
    files: ["src/core/**/*.ts", "src/{dhcp,pxe,images,rollout,agent}/**/*.ts"],
    ignores: ["**/io/**", "**/main.ts"],
    rules: {
      "no-restricted-globals": [
        "error",
        ...TIMERS.map(name => ({
          name,
          message: "Pure code takes `now` as an argument; timers belong to io/.",
        })),
        ...EFFECTS.map(name => ({ name, message: "Pure code returns data; io/ acts on it." })),
      ],
      "no-restricted-properties": [
        "error",
        { object: "Math", property: "random", message: "Pass random bytes as an argument." },
      ],
    },
  },
];
