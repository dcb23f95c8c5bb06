// Where PostgreSQL is asked: the socket of the instance, or what `--host`, `--port`, `--user` and `--dbname` say
// (object-store-layout.md §10.6). No message of this file repeats a value: one of them is a password.
import { readFile } from 'node:fs/promises';
import type { ClientConfig } from 'pg';
import { messageOf, PreconditionError } from '../../api/errors.ts';
import type { HonouredOptions } from '../../api/options.ts';

export type PostgresAddress = {
  host: string;
  port: number;
  user: string;
  database: string;
  password?: string;
  connectTimeoutMs?: number;
  /** Command-line options for the session, as libpq's `options`. */
  options?: string;
  tls?: Tls;
};

type Tls = {
  /** Who must have issued the server's certificate is asked (`verify-ca`), its name too (`verify-full`). */
  verify: 'nothing' | 'issuer' | 'name';
  /** Paths. */
  rootCertificate?: string;
  certificate?: string;
  key?: string;
};

export type ChosenAddress = {
  address: PostgresAddress;
  /** Keywords of the connection string that have no effect, one sentence each. */
  ignored: string[];
};

type AddressOptions = Pick<HonouredOptions, 'host' | 'port' | 'user' | 'dbname'>;

/**
 * Completes the address. A `--dbname` with a `=` is a whole connection string of libpq, whose keywords win over the other
 * options. Throws PreconditionError, naming the keyword and no value, for one that cannot be used.
 */
export function chooseAddress(standard: PostgresAddress, { host, port, user, dbname }: AddressOptions): ChosenAddress {
  const address = {
    ...standard,
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(user === undefined ? {} : { user }),
  };
  if (dbname === undefined) return { address, ignored: [] };
  if (/^postgres(ql)?:\/\//.test(dbname)) throw refused('write a connection string (keyword=value …), not a URI');
  if (!dbname.includes('=')) return { address: { ...address, database: dbname }, ignored: [] };
  return fromConnectionString(address, readConnectionString(dbname));
}

/** The same for the client. Throws PreconditionError when a certificate cannot be read. */
export async function clientConfig(address: PostgresAddress): Promise<ClientConfig> {
  const { host, port, user, database, password, connectTimeoutMs, options, tls } = address;
  return {
    ...{ host, port, user, database },
    ...(password === undefined ? {} : { password }),
    ...(connectTimeoutMs === undefined ? {} : { connectionTimeoutMillis: connectTimeoutMs }),
    ...(options === undefined ? {} : { options }),
    // A socket knows no TLS.
    ...(tls === undefined || host.startsWith('/') ? {} : { ssl: await tlsConfig(tls) }),
  };
}

const NO_EFFECT = new Set([
  ...['application_name', 'fallback_application_name', 'client_encoding', 'gssencmode', 'sslcompression'],
  ...['keepalives', 'keepalives_idle', 'keepalives_interval', 'keepalives_count', 'tcp_user_timeout'],
]);

function fromConnectionString(base: PostgresAddress, words: Map<string, string>): ChosenAddress {
  const address = { ...base };
  const ignored: string[] = [];
  const tls: Tls = { verify: 'nothing' };
  let wantsTls = false;
  for (const [keyword, value] of words) {
    if (keyword === 'host' || keyword === 'hostaddr') {
      if (value.includes(',')) throw refused(`${keyword}: name one host`);
      if (value !== '' && (keyword === 'hostaddr' || !words.get('hostaddr'))) address.host = value;
    } else if (keyword === 'port') address.port = wholeNumber(keyword, value);
    else if (keyword === 'user') address.user = value;
    else if (keyword === 'dbname') address.database = value;
    else if (keyword === 'password') address.password = value;
    else if (keyword === 'options') address.options = value;
    else if (keyword === 'connect_timeout') address.connectTimeoutMs = 1000 * wholeNumber(keyword, value);
    else if (keyword === 'sslrootcert') tls.rootCertificate = value;
    else if (keyword === 'sslcert') tls.certificate = value;
    else if (keyword === 'sslkey') tls.key = value;
    else if (keyword === 'sslmode') {
      const verify = SSL_MODES.get(value);
      if (verify === undefined) throw refused(`sslmode: write one of ${[...SSL_MODES.keys()].join(', ')}`);
      wantsTls = verify !== 'no TLS';
      if (verify !== 'no TLS') tls.verify = verify;
    } else if (NO_EFFECT.has(keyword)) ignored.push(`--dbname: ${keyword}: it has no effect on a backup`);
    else throw refused(`the keyword ${keyword} is not known here: remove it`);
  }
  return { address: wantsTls ? { ...address, tls } : address, ignored };
}

/** `allow` and `prefer` promise nothing: they are met without TLS. */
const SSL_MODES: ReadonlyMap<string, Tls['verify'] | 'no TLS'> = new Map([
  ['disable', 'no TLS'],
  ['allow', 'no TLS'],
  ['prefer', 'no TLS'],
  ['require', 'nothing'],
  ['verify-ca', 'issuer'],
  ['verify-full', 'name'],
]);

/** libpq's grammar: `keyword = value` with blanks at will, values in quotes where they hold any, `\` before anything. */
function readConnectionString(text: string): Map<string, string> {
  const words = new Map<string, string>();
  const word = /\s*([A-Za-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'(?=\s|$)|((?:[^\s'\\]|\\.)*)(?=\s|$))\s*/sy;
  while (word.lastIndex < text.length) {
    const match = word.exec(text);
    if (match === null) throw refused('it is not a connection string (keyword=value …)');
    const [, keyword = '', quoted, bare = ''] = match;
    words.set(keyword, (quoted ?? bare).replaceAll(/\\(.)/gs, '$1'));
  }
  return words;
}

function wholeNumber(keyword: string, value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw refused(`${keyword}: write a whole number`);
  return Number(value);
}

function refused(why: string): PreconditionError {
  return new PreconditionError(`spec.configuration.data.additionalCommandArgs: --dbname: ${why}`);
}

async function tlsConfig(tls: Tls): Promise<NonNullable<ClientConfig['ssl']>> {
  const { verify, rootCertificate, certificate, key } = tls;
  return {
    // With a root certificate `require` verifies the issuer too, as libpq does.
    rejectUnauthorized: verify !== 'nothing' || rootCertificate !== undefined,
    ...(verify === 'name' ? {} : { checkServerIdentity: () => undefined }),
    ...(rootCertificate === undefined ? {} : { ca: await readCertificate('sslrootcert', rootCertificate) }),
    ...(certificate === undefined ? {} : { cert: await readCertificate('sslcert', certificate) }),
    ...(key === undefined ? {} : { key: await readCertificate('sslkey', key) }),
  };
}

async function readCertificate(keyword: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw refused(`${keyword}: ${messageOf(error)}`);
  }
}
