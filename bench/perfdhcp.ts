/** What perfdhcp (Debian: kea-admin) is told and what it says: text in, numbers out. */

/** One run of perfdhcp at one offered rate. */
export interface PerfdhcpReport {
  /** 4-way exchanges a second that were completed. */
  readonly exchangesPerSecond: number;
  /** Of both exchanges together: unanswered messages among those that were sent, 0 … 1. */
  readonly dropRatio: number;
  /** Completed 4-way exchanges. */
  readonly exchanges: number;
}

export interface Load {
  /** DISCOVERs that are sent each second. */
  readonly offeredPerSecond: number;
  readonly seconds: number;
  /** A number of its own for each run: its clients are machines that the server has never seen. */
  readonly run: number;
  readonly interfaceName: string;
  readonly serverAddress: string;
}

/** An answer that comes later than this counts as dropped; clients ask again after 4 s (RFC 2131 §4.1), perfdhcp's own default is 1 s. */
const DROP_AFTER_SECONDS = 1;

export function perfdhcpArguments({
  offeredPerSecond,
  seconds,
  run,
  interfaceName,
  serverAddress,
}: Load): string[] {
  const clients = Math.ceil(offeredPerSecond * seconds * 1.1);
  // The third byte tells runs apart, the last three count clients.
  const mac = `02:00:${(run & 0xff).toString(16).padStart(2, "0")}:00:00:00`;
  return [
    "-4",
    ["-l", interfaceName],
    ["-r", String(offeredPerSecond)],
    ["-p", String(seconds)],
    ["-R", String(clients)],
    ["-b", `mac=${mac}`],
    ["-d", String(DROP_AFTER_SECONDS)],
    // Answers to the last messages get the time that all others had.
    ["-W", String(DROP_AFTER_SECONDS * 1_000_000)],
    serverAddress,
  ].flat();
}

/**
 * perfdhcp's own rate counts the wait for the last answers too, so it is not read.
 *
 * @param seconds for how long it sent
 * @throws {Error} with the text, when it is no report of perfdhcp 2.2
 */
export function parsePerfdhcp(text: string, seconds: number): PerfdhcpReport {
  const numbers = (pattern: RegExp) => Array.from(text.matchAll(pattern), match => Number(match[1]));
  const sent = numbers(/^sent packets: (\d+)$/gm);
  const received = numbers(/^received packets: (\d+)$/gm);
  const [offers, acks] = received;
  if (sent.length !== 2 || offers === undefined || acks === undefined) {
    throw new Error(`perfdhcp said no figures: ${text.slice(0, 2000)}`);
  }
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return {
    exchangesPerSecond: acks / seconds,
    dropRatio: sum(sent) === 0 ? 1 : (sum(sent) - sum(received)) / sum(sent),
    exchanges: acks,
  };
}
