// The log of every process: one JSON object for each line, on standard error unless told otherwise.
import { type DestinationStream, destination, type Logger, type LoggerOptions, pino } from 'pino';
import { InvalidInputError } from '../errors.ts';
import { LOG_LEVELS, type LogLevel } from '../objectstore.ts';

export type Log = Logger;

export type LogOptions = {
  level: LogLevel;
  /** Which part of the product speaks: field `logger`. */
  name?: string;
  destination?: DestinationStream;
  /** Name of the field that holds the level; default `level`. */
  levelField?: string;
  /** Name of the field that holds the time, RFC 3339; default `ts`. */
  timestampField?: string;
};

/** The flags about the log that every command accepts, for `parseArgs` (objectstore-and-injection.md §9.1). */
export const LOG_FLAGS = {
  'log-level': { type: 'string' },
  'log-destination': { type: 'string' },
  'log-field-level': { type: 'string' },
  'log-field-timestamp': { type: 'string' },
} as const;

export type LogFlags = { [flag in keyof typeof LOG_FLAGS]?: string | undefined };

/**
 * Makes a log. Levels are those of the ObjectStore's `logLevel`. Values of fields that are named like secrets are
 * replaced, at any depth; of errors only type, message and stack are shown.
 */
export function createLog(options: LogOptions): Log {
  const levelField = options.levelField ?? 'level';
  const timestampField = JSON.stringify(options.timestampField ?? 'ts');
  const settings: LoggerOptions = {
    level: options.level === 'warning' ? 'warn' : options.level,
    base: options.name === undefined ? {} : { logger: options.name },
    timestamp: () => `,${timestampField}:"${new Date().toISOString()}"`,
    formatters: {
      level: (label) => ({ [levelField]: levelName(label) }),
      log: censored,
    },
    serializers: { err: describeError, error: describeError },
  };
  // Synchronous: no line is lost when the process exits.
  return censorChildren(pino(settings, options.destination ?? destination({ fd: 2, sync: true })));
}

/** Makes the log that the flags ask for; throws InvalidInputError naming a flag that is malformed. */
export function createLogFromFlags(flags: LogFlags, name: string): Log {
  const file = flags['log-destination'];
  return createLog({
    name,
    level: readLevel(flags['log-level'] ?? 'info'),
    ...(file ? { destination: destination({ dest: file, sync: true, mkdir: true }) } : {}),
    ...(flags['log-field-level'] ? { levelField: flags['log-field-level'] } : {}),
    ...(flags['log-field-timestamp'] ? { timestampField: flags['log-field-timestamp'] } : {}),
  });
}

/** A log that says nothing, for tests. */
export function silentLog(): Log {
  return pino({ level: 'silent' });
}

/** pino forgets its formatter of bindings in children, so their fields are censored on the way in. */
function censorChildren(log: Log): Log {
  const child = log.child;
  log.child = function (this: Log, bindings, options) {
    return child.call(this, censored(bindings), options);
  } as Log['child'];
  return log;
}

function readLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((known) => known === text);
  if (level === undefined) throw new InvalidInputError('--log-level', text, `use one of ${LOG_LEVELS.join(', ')}`);
  return level;
}

function levelName(label: string): string {
  if (label === 'warn') return 'warning';
  return label === 'fatal' ? 'error' : label;
}

const SECRET_FIELD =
  /secret|token|passw|credential|authorization|cookie|private.?key|access.?key|storage.?key|connection.?string/i;
const MAX_DEPTH = 8;

/** Names say what is secret, whatever the case and wherever the field is; a selector `{name, key}` is no secret. */
function censored(fields: Record<string, unknown>): Record<string, unknown> {
  return censorFields(fields, 0);
}

function censorFields(fields: object, depth: number): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      SECRET_FIELD.test(name) && isValue(value) ? '[redacted]' : censorValue(value, depth + 1),
    ]),
  );
}

function censorValue(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Error) return value;
  if (depth > MAX_DEPTH) return '[deep]';
  if (Array.isArray(value)) return value.map((item) => censorValue(item, depth + 1));
  if (value instanceof Date) return value;
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  return censorFields(value, depth);
}

function isValue(value: unknown): boolean {
  return value !== undefined && value !== null && typeof value !== 'boolean';
}

/** Errors of clients carry whole requests with their headers: only these three ever reach the log. */
function describeError(thrown: unknown): unknown {
  if (!(thrown instanceof Error)) return thrown;
  return { type: thrown.name, message: thrown.message, stack: stackOf(thrown, 0) };
}

function stackOf(error: Error, depth: number): string {
  const own = error.stack ?? `${error.name}: ${error.message}`;
  if (!(error.cause instanceof Error) || depth >= MAX_DEPTH) return own;
  return `${own}\ncaused by: ${stackOf(error.cause, depth + 1)}`;
}
