/** The hub's log: pino, as one line for people on stderr. */
import { type Logger, pino } from "pino";
import { formatLogLine } from "../log-line.ts";
import type { Settings } from "../settings.ts";

export function openLog(level: Settings["log"]["level"]): Logger {
  return pino(
    { level, base: null, serializers: {} },
    { write: line => void process.stderr.write(formatLogLine(line)) },
  );
}
