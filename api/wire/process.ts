// The life of a process: start, wait for a signal, stop once, exit. Whatever goes wrong ends in one readable line on
// standard error and a non-zero exit status, never in a process that hangs.
import { writeSync } from 'node:fs';

/** Something that runs until it is stopped. `stop` finishes within a limit of its own. */
export type Running = { stop(): Promise<void> };

/** What a program's main function gives back: something that runs, or an exit status when it is done already. */
export type Outcome = Running | number;

export type ProgramOptions = {
  /** How long `stop` may take before the process ends all the same, milliseconds. */
  stopLimitMs?: number;
};

const KEEP_ALIVE_MS = 60_000;
const DEFAULT_STOP_LIMIT_MS = 120_000;

/**
 * Runs a program and ends the process with its status: what `main` returned, 0 after SIGTERM or SIGINT and an orderly
 * stop, 1 after an error that nobody caught. A second signal does not wait for the stop.
 */
export function runProgram(main: () => Promise<Outcome>, options: ProgramOptions = {}): void {
  let running: Running | undefined;
  let stopping = false;

  const fail = (thrown: unknown): never => {
    writeLine(describeFailure(thrown));
    return process.exit(1);
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stopping) fail(new Error(`second ${signal}: not waiting any longer`));
    stopping = true;
    if (running === undefined) process.exit(0);
    const limitMs = options.stopLimitMs ?? DEFAULT_STOP_LIMIT_MS;
    setTimeout(() => fail(new Error(`not stopped ${limitMs} ms after ${signal}`)), limitMs);
    running.stop().then(() => process.exit(0), fail);
  };

  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  start().catch(fail);

  async function start(): Promise<void> {
    // Node ends with status 0 when nothing keeps it alive, also while a promise is pending: grpc-js waits on timers that do
    // not count, and a health check without a sidecar would now and then have said that it serves.
    const alive = setInterval(() => {}, KEEP_ALIVE_MS);
    const outcome = await main().finally(() => clearInterval(alive));
    if (typeof outcome === 'number') process.exit(outcome);
    running = outcome;
  }
}

/** One line for a person: our own errors speak for themselves, others say where they come from. */
export function describeFailure(thrown: unknown): string {
  if (!(thrown instanceof Error)) return `unexpected failure: ${oneLine(String(thrown))}`;
  const message = oneLine(thrown.message);
  const bug = BUGS.some((kind) => thrown instanceof kind);
  if (!bug) return message === '' ? thrown.name : message;
  const place = /^\s+at (.*)$/m.exec(thrown.stack ?? '')?.[1];
  return `unexpected ${thrown.name}: ${message}${place === undefined ? '' : ` (at ${place})`}`;
}

/** Classes that the language throws when the program is wrong: there the place matters more than the message. */
const BUGS = [TypeError, ReferenceError, RangeError, SyntaxError];

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ').trim();
}

function writeLine(text: string): void {
  // process.stderr is asynchronous on pipes, and the process is about to exit.
  try {
    writeSync(2, `cellar: ${text}\n`);
  } catch {
    // Standard error is closed: nobody is left to tell.
  }
}
