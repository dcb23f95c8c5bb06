import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PreconditionError } from '../../api/errors.ts';
import { chooseAddress, clientConfig } from './postgres-address.ts';

const STANDARD = { host: '/controller/run', port: 5432, user: 'postgres', database: 'postgres' };

test('without options it is the socket of the instance', () => {
  assert.deepEqual(chooseAddress(STANDARD, {}), { address: STANDARD, ignored: [] });
});

test('options take the place of what they name', () => {
  assert.deepEqual(chooseAddress(STANDARD, { host: 'db', port: 6432, user: 'barman', dbname: 'app' }).address, {
    host: 'db',
    port: 6432,
    user: 'barman',
    database: 'app',
  });
});

const STRINGS: [string, Record<string, unknown>][] = [
  ['host=db', { host: 'db' }],
  ["host = 'db' port=6432  dbname= app", { host: 'db', port: 6432, database: 'app' }],
  ["user=o\\'neill password='it''s'", {}],
  ["password='a b\\'c\\\\'", { password: "a b'c\\" }],
  ["password=''", { password: '' }],
  ['hostaddr=10.0.0.1 host=db', { host: '10.0.0.1' }],
  ['connect_timeout=3', { connectTimeoutMs: 3000 }],
  ["options='-c geqo=off'", { options: '-c geqo=off' }],
  ['sslmode=prefer sslrootcert=/ca', {}],
  ['sslmode=require', { tls: { verify: 'nothing' } }],
  ['sslmode=verify-full sslrootcert=/ca', { tls: { verify: 'name', rootCertificate: '/ca' } }],
];
for (const [text, changes] of STRINGS) {
  test(`reads the connection string ${text}`, () => {
    const read = () => chooseAddress(STANDARD, { dbname: text });
    if (text.includes("''s'")) return assert.throws(read, /not a connection string/);
    assert.deepEqual(read().address, { ...STANDARD, ...changes });
  });
}

test('a connection string wins over the other options', () => {
  const { address } = chooseAddress(STANDARD, { host: 'a', user: 'u', dbname: 'host=b' });
  assert.deepEqual([address.host, address.user], ['b', 'u']);
});

test('a keyword without effect is named, one that is not known is refused', () => {
  assert.deepEqual(chooseAddress(STANDARD, { dbname: 'application_name=x' }).ignored, [
    '--dbname: application_name: it has no effect on a backup',
  ]);
  assert.throws(() => chooseAddress(STANDARD, { dbname: 'replication=1' }), /the keyword replication is not known/);
});

test('no refusal repeats a value: it may be the password', () => {
  for (const dbname of [
    'postgresql://postgres:hidden@db/app',
    "password='hidden",
    'password=hidden port=hidden',
    'hidden=hidden=hidden password',
    'password=hidden sslmode=hidden',
    'host=hidden,hidden',
    "password=hidden 'hidden'",
  ]) {
    const refused = (error: unknown) =>
      error instanceof PreconditionError && /--dbname: /.test(error.message) && !/hidden(?!\sis)/.test(error.message);
    assert.throws(() => chooseAddress(STANDARD, { dbname }), refused, dbname);
  }
});

test('the client verifies as sslmode says, and never over a socket', async () => {
  const config = async (dbname: string) => (await clientConfig(chooseAddress(STANDARD, { dbname }).address)).ssl;
  assert.equal(await config('sslmode=verify-full'), undefined);
  assert.equal(await config('host=db'), undefined);
  const of = async (mode: string) => {
    const ssl = await config(`host=db sslmode=${mode}`);
    assert.ok(typeof ssl === 'object');
    return [ssl.rejectUnauthorized, ssl.checkServerIdentity !== undefined];
  };
  assert.deepEqual(await of('require'), [false, true]);
  assert.deepEqual(await of('verify-ca'), [true, true]);
  assert.deepEqual(await of('verify-full'), [true, false]);
  await assert.rejects(config('host=db sslmode=verify-ca sslrootcert=/nowhere'), /sslrootcert: ENOENT/);
});
