// The flags of the `operator` command (objectstore-and-injection.md §9.1): those of the Go plugin, and ours.
import { networkInterfaces } from 'node:os';
import { parseArgs } from 'node:util';
import { InvalidInputError, messageOf } from '../api/errors.ts';
import { LOG_FLAGS, type LogFlags } from '../api/wire/log.ts';
import { CERTIFICATE_FLAGS, type CertificateFlags, readCertificateFlags, readDuration } from './flags-certificates.ts';

export type ListenAddress = { host: string; port: number };

export type OperatorFlags = {
  log: LogFlags;
  /** Where the operator of CloudNativePG dials. */
  server: ListenAddress;
  certificates: CertificateFlags;
  webhook: ListenAddress | undefined;
  health: ListenAddress | undefined;
  /** Whether only the holder of the lease keeps Roles current. */
  elect: boolean;
  /** How long the doors go on serving after a signal, so that nobody is sent to them any more when they close, milliseconds. */
  shutdownDelayMs: number;
  /** Whether references to objects that are not there are refused at admission. */
  strictReferences: boolean;
  /** Whether the Secrets that a store names are looked at, at admission; their values are not kept. */
  lookUpSecrets: boolean;
  /** Flags that were given and have no effect. */
  ignored: string[];
};

const FLAGS = {
  ...LOG_FLAGS,
  ...CERTIFICATE_FLAGS,
  'server-address': { type: 'string', default: ':9090' },
  'health-probe-bind-address': { type: 'string', default: ':8081' },
  'webhook-address': { type: 'string' },
  'strict-references': { type: 'boolean' },
  'look-up-secrets': { type: 'boolean' },
  'shutdown-delay': { type: 'string', default: '5s' },
  'metrics-bind-address': { type: 'string' },
  'metrics-secure': { type: 'boolean' },
  'enable-http2': { type: 'boolean' },
  'leader-elect': { type: 'boolean' },
  'plugin-path': { type: 'string' },
} as const;

/** Of the Go plugin's program; they are accepted so that its deployments run our image. */
const WITHOUT_EFFECT = ['metrics-bind-address', 'metrics-secure', 'enable-http2', 'plugin-path'] as const;

/** Reads the flags. Throws InvalidInputError naming the flag that is unknown, missing or malformed. */
export function readOperatorFlags(args: readonly string[]): OperatorFlags {
  const values = parse(args);
  const webhook = values['webhook-address'];
  return {
    log: values,
    server: readAddress('--server-address', values['server-address']),
    certificates: readCertificateFlags(values, Boolean(webhook)),
    webhook: webhook ? readAddress('--webhook-address', webhook) : undefined,
    health:
      values['health-probe-bind-address'] === '0'
        ? undefined
        : readAddress('--health-probe-bind-address', values['health-probe-bind-address']),
    elect: values['leader-elect'] === true,
    strictReferences: values['strict-references'] === true,
    lookUpSecrets: values['look-up-secrets'] === true,
    shutdownDelayMs: values['shutdown-delay'] === '0' ? 0 : readDuration('shutdown-delay', values['shutdown-delay']),
    ignored: WITHOUT_EFFECT.filter((name) => isOn(values[name])).map((name) => `--${name}`),
  };
}

function isOn(value: string | boolean | undefined): boolean {
  return value !== undefined && value !== false && value !== '' && value !== '0';
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: args.flatMap(plainBoolean), options: FLAGS }).values;
  } catch (error) {
    if (error instanceof InvalidInputError) throw error;
    const known = Object.keys(FLAGS).map((flag) => `--${flag}`);
    const [problem = ''] = messageOf(error).split('. ');
    throw new InvalidInputError('arguments', args.join(' '), `${problem}; known flags are ${known.join(', ')}`, {
      cause: error,
    });
  }
}

/** Go's flags say `--leader-elect` or `--leader-elect=true`; parseArgs knows only the first. */
function plainBoolean(argument: string): string[] {
  const [, name = '', value = ''] = /^--([^=]+)=(.*)$/s.exec(argument) ?? [];
  if (!(name in FLAGS) || !isBooleanFlag(name)) return [argument];
  if (['true', '1', 't', 'T', 'TRUE', 'True'].includes(value)) return [`--${name}`];
  if (['false', '0', 'f', 'F', 'FALSE', 'False'].includes(value)) return [];
  throw new InvalidInputError(`--${name}`, value, 'must be true or false');
}

function isBooleanFlag(name: string): boolean {
  return Object.entries(FLAGS).some(([flag, { type }]) => flag === name && type === 'boolean');
}

/** `host:port`, `[host]:port` or `:port`, which means every address of the Pod, IPv6 too where there is one. */
function readAddress(flag: string, text: string): ListenAddress {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65535) {
    throw new InvalidInputError(flag, text, 'must be HOST:PORT or :PORT, for example :9090');
  }
  return { host: bracketed || plain || anyAddress(), port };
}

function anyAddress(): string {
  const hasIPv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ family }) => family === 'IPv6'));
  return hasIPv6 ? '::' : '0.0.0.0';
}
