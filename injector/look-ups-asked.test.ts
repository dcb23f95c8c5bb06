import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PreconditionError } from '../api/errors.ts';
import { silentLog } from '../api/wire/log.ts';
import type { LookUpPort } from './kube-look-ups.ts';
import { withAskedLookUps } from './look-ups-asked.ts';

const LIVE = { clusters: async () => [], objectStores: async () => [] };
const { signal } = new AbortController();

test('Secrets are asked only when it is switched on, Backups and Namespaces always', () => {
  const offered = (secrets: boolean) =>
    Object.keys(withAskedLookUps(LIVE, { port: answering(), secrets, log: silentLog() }));
  assert.deepEqual(offered(false), ['clusters', 'objectStores', 'backup', 'isNamespaceTerminating']);
  assert.deepEqual(offered(true).sort(), [
    'backup',
    'clusters',
    'isNamespaceTerminating',
    'objectStores',
    'secretKeys',
  ]);
});

test('hands on the question with its signal, and the answer', async () => {
  const asked: unknown[] = [];
  const secretKeys = async (...question: unknown[]) => {
    asked.push(...question);
    return ['KEY'];
  };
  const port = { ...answering(), secretKeys };
  const lookUps = withAskedLookUps(LIVE, { port, secrets: true, log: silentLog() });
  assert.deepEqual(await lookUps.secretKeys?.('shop', 'minio', signal), ['KEY']);
  assert.deepEqual(asked, ['shop', 'minio', signal]);
});

test('what is forbidden is not asked for five minutes, and is logged once until it is allowed again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const lines: string[] = [];
  const log = { ...silentLog(), warn: (...line: unknown[]) => void lines.push(String(line.at(-1))) } as never;
  let isAllowed = false;
  const secretKeys = async () => {
    if (isAllowed) return [];
    throw new PreconditionError('Secret shop/minio: no', { hint: 'allow it' });
  };
  const lookUps = withAskedLookUps(LIVE, { port: { ...answering(), secretKeys }, secrets: true, log });
  const askTwice = async () => {
    const { secretKeys } = lookUps;
    assert.ok(secretKeys, 'asked again');
    return Promise.allSettled(['a', 'b'].map((name) => secretKeys('shop', name, signal)));
  };
  for (const round of ['first', 'second']) {
    await askTwice();
    assert.equal(lookUps.secretKeys, undefined, round);
    assert.ok(lookUps.backup, 'the others stay');
    t.mock.timers.tick(5 * 60_000 - 1);
    assert.equal(lookUps.secretKeys, undefined, round);
    t.mock.timers.tick(1);
    assert.deepEqual(lines, ['Secrets may not be read: rules about them are silent']);
  }
  isAllowed = true;
  await askTwice();
  assert.ok(lookUps.secretKeys);
  isAllowed = false;
  await askTwice();
  assert.equal(lines.length, 2);
});

test('a refusal that comes late does not bring the look-up back early', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const late = Promise.withResolvers<never>();
  const refused = new PreconditionError('Backup shop/a: no', { hint: 'allow it' });
  const backup = (_namespace: string, name: string) => (name === 'late' ? late.promise : Promise.reject(refused));
  const lookUps = withAskedLookUps(LIVE, { port: { ...answering(), backup }, secrets: false, log: silentLog() });
  const ask = async (name: string) => lookUps.backup?.('shop', name, signal).catch(() => undefined);
  const asking = ask('late');
  await ask('a');
  t.mock.timers.tick(60_000);
  late.reject(refused);
  await asking;
  t.mock.timers.tick(4 * 60_000);
  await ask('b');
  t.mock.timers.tick(60_000);
  assert.equal(lookUps.backup, undefined);
});

test('other failures leave a look-up where it is', async () => {
  const backup = async () => {
    throw new Error('no answer');
  };
  const lookUps = withAskedLookUps(LIVE, { port: { ...answering(), backup }, secrets: true, log: silentLog() });
  await assert.rejects(lookUps.backup?.('shop', 'nightly', signal) ?? assert.fail(), /no answer/);
  assert.ok(lookUps.backup);
});

function answering(): LookUpPort {
  return { secretKeys: async () => [], backup: async () => undefined, isNamespaceTerminating: async () => false };
}
