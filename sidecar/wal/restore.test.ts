import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { InvalidInputError, NotFoundError, StoreError } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import type { ObjectStore } from '../../api/objectstore.ts';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchives } from '../../test/fake-storage.ts';
import type { Events } from '../telemetry/events.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { DEFAULT_PATIENCE } from './persist.ts';
import { createWalRestorer, type RestoreRequest, type WalRestorerDeps } from './restore.ts';
import { createWalMetrics } from './wal-metrics.ts';

const X = '0000000100000004000000A7';
const FOLDER = '/wals/0000000100000004/';
const content = Buffer.alloc(1 << 20, 'wal');
const folder = mkdtempSync(join(tmpdir(), 'cellar-restore-'));
const destination = join(folder, 'RECOVERYXLOG');
after(() => rmSync(folder, { recursive: true, force: true }));

const stores = { own: new FakeStorage(), origin: new FakeStorage() };
beforeEach(() => {
  rmSync(destination, { force: true });
  stores.own = new FakeStorage();
  stores.origin = new FakeStorage();
});

test('a standby is served from the own store, a recovery from the origin under its server name', async () => {
  stores.own.plant(`backups/pg${FOLDER}${X}`, content);
  await restore({ cluster: cluster({ currentPrimary: 'pg-1' }) });
  assertContent(content);
  rmSync(destination);
  stores.origin.plant(`backups/old${FOLDER}${X}`, content);
  await restore({ cluster: cluster({}) });
  assertContent(content);
});

test('a file that is positively absent is NotFoundError after one request', async () => {
  await assert.rejects(restore(), NotFoundError);
  assert.equal(stores.own.requests.length, 1);
  assert.equal(existsSync(destination), false);
});

test('a name that is not a WAL file is refused', async () => {
  await assert.rejects(restore({ walName: '../../etc/passwd' }), InvalidInputError);
  await assert.rejects(restore({ walName: `${X}.gz` }), InvalidInputError);
});

test('a standby without a store of its own is told absent at once', async () => {
  const spec = { ...cluster({}).spec, plugins: [] };
  const standby = { ...cluster({ currentPrimary: 'pg-1' }), spec };
  await assert.rejects(restore({ cluster: standby }), (error) => {
    assert.ok(error instanceof NotFoundError);
    assert.match(error.message, /barmanObjectName in the entry of spec\.plugins/);
    return true;
  });
});

test('history guard: a standby does not see timelines above the one of the Cluster', async () => {
  for (const [status, served] of [
    [{ currentPrimary: 'pg-2' }, true],
    [{ currentPrimary: 'pg-1', targetPrimary: 'pg-2', timelineID: 2 }, true],
    [{ currentPrimary: 'pg-1', targetPrimary: 'pg-1', timelineID: 0 }, true],
    [{ currentPrimary: 'pg-1', targetPrimary: 'pg-1' }, true],
    [{ currentPrimary: 'pg-1', targetPrimary: 'pg-1', timelineID: 3 }, true],
    [{ currentPrimary: 'pg-1', targetPrimary: 'pg-1', timelineID: 2 }, false],
  ] as const) {
    stores.own.plant('backups/pg/wals/00000003.history', '2\t0/3000000\treason\n');
    const asked = restore({ walName: '00000003.history', cluster: cluster(status) });
    if (served) await asked;
    else await assert.rejects(asked, NotFoundError, JSON.stringify(status));
  }
});

test('segments of a later timeline are not guarded', async () => {
  stores.own.plant('backups/pg/wals/0000000300000004/0000000300000004000000A7', content);
  const status = { currentPrimary: 'pg-1', targetPrimary: 'pg-1', timelineID: 2 };
  await restore({ walName: '0000000300000004000000A7', cluster: cluster(status) });
});

test('an outage in a recovery is waited out, however long, and never taken for the end of WAL', async () => {
  stores.origin.plant(`backups/old${FOLDER}${X}`, content);
  stores.origin.fail('list', 'broken', 200);
  stores.origin.fail('get', 'refused', 3);
  const { registry, told, ...telemetry } = recorded();
  await restore({ cluster: cluster({}) }, {}, telemetry);
  assertContent(content);
  assert.equal(told.length, 203);
  assert.match(told[0] ?? '', /^WalRestoreWaiting: the recovery of pg waits for 0000000100000004000000A7: .*injected/);
  const { 'cellar_wal_restore_seconds_total ': seconds = 0, ...counts } = countsOf(registry);
  assert.ok(seconds > 0);
  assert.deepEqual(counts, {
    'cellar_wal_restore_failures_total broken': 200,
    'cellar_wal_restore_failures_total refused': 3,
    'cellar_wal_restored_files_total ': 1,
    'cellar_wal_restores_waiting ': 0,
  });
});

test('while a request waits, the gauge says so', async () => {
  stores.origin.plant(`backups/old${FOLDER}${X}`, content);
  stores.origin.fail('list', 'broken');
  const { registry, ...telemetry } = recorded();
  let waiting: number | undefined;
  stores.origin.before = () => {
    waiting ??= countsOf(registry)['cellar_wal_restores_waiting '];
  };
  await restore({ cluster: cluster({}) }, {}, telemetry);
  assert.equal(waiting, 1);
});

test('an outage elsewhere is waited out for a minute and then thrown as what it is, without an Event', async () => {
  stores.own.fail('list', 'broken', 1000);
  const { told, ...telemetry } = recorded();
  await assert.rejects(restore({}, {}, telemetry), (error) => error instanceof StoreError && error.retriable);
  assert.ok(stores.own.requests.length > 10);
  assert.deepEqual(told, []);
});

test('a refusal elsewhere is thrown at once', async () => {
  stores.own.fail('list', 'refused');
  await assert.rejects(restore(), StoreError);
  assert.equal(stores.own.requests.length, 1);
});

test('--no-partial of the ObjectStore leaves partial files out', async () => {
  stores.own.plant(`backups/pg${FOLDER}${X}.partial`, content);
  await assert.rejects(restore({}, { wal: { restoreAdditionalCommandArgs: ['--no-partial'] } }), NotFoundError);
  await restore();
  assertContent(content);
});

test('what follows a served segment is fetched ahead beside the spool, never in it, and served from there', async () => {
  plantFive(stores.own);
  const { restorer, next } = sequence();
  await next(0);
  await next(1);
  await next(2);
  await next(3);
  await next(4);
  assert.equal(gets(stores.own).length, 5, 'a segment was fetched twice');
  assert.ok(existsSync(join(folder, 'cellar-wal-prefetch')));
  assert.equal(existsSync(join(folder, 'spool')), false);
  await restorer.stop();
});

test('start removes what an earlier process fetched ahead', async () => {
  const { restorer, next } = sequence();
  const old = join(folder, 'cellar-wal-prefetch', 'own-0', X);
  mkdirSync(dirname(old), { recursive: true });
  writeFileSync(old, content);
  await restorer.start();
  assert.equal(existsSync(old), false);
  await assert.rejects(next(0), NotFoundError);
});

test('pg_rewind is served from the store alone and starts nothing', async () => {
  plantFive(stores.own);
  const { restorer, next } = sequence();
  await next(0, { rewind: true });
  assert.equal(stores.own.requests.length, 2);
  await next(0);
  await next(1);
  const before = gets(stores.own).filter((line) => line.endsWith(names[2] ?? '')).length;
  await next(2, { rewind: true });
  assert.equal(gets(stores.own).filter((line) => line.endsWith(names[2] ?? '')).length, before + 1);
  while (readdirSync(join(folder, 'cellar-wal-prefetch')).length > 0) await setImmediate();
  await restorer.stop();
});

test('trouble ahead is not seen: the request itself meets the store when it is well again', async () => {
  plantFive(stores.own);
  const { restorer, next } = sequence();
  stores.own.before = (_verb, key) => {
    if (!key.includes(names[0] ?? '')) throw new Error('ahead of its time');
  };
  await next(0);
  await restorer.stop();
  stores.own.before = undefined;
  await next(1);
  await restorer.stop();
});

test('history files between the segments leave the window alone', async () => {
  plantFive(stores.own);
  const { restorer, next } = sequence();
  await next(0);
  await assert.rejects(next(0, { walName: '00000002.history' }), NotFoundError);
  await next(1);
  await next(2);
  await restorer.stop();
  assert.equal(new Set(gets(stores.own)).size, gets(stores.own).length, 'a segment was fetched twice');
});

const names = ['A7', 'A8', 'A9', 'AA', 'AB'].map((end) => `${X.slice(0, -2)}${end}`);

function plantFive(storage: FakeStorage): void {
  for (const name of names) storage.plant(`backups/pg${FOLDER}${name}`, content);
}

function gets(storage: FakeStorage): string[] {
  return storage.requests.filter((line) => line.startsWith('get '));
}

/** One restorer that is asked for one of the names after the other. */
function sequence() {
  const restorer = createWalRestorer({
    archives: fakeArchives(stores, { wal: { maxParallel: 2 } }),
    podName: 'pg-2',
    spoolDirectory: join(folder, 'spool'),
    log: silentLog(),
  });
  const signal = new AbortController().signal;
  const next = async (index: number, changes: Partial<RestoreRequest> = {}) => {
    rmSync(destination, { force: true });
    const walName = names[index] ?? '';
    const request = { cluster: cluster({ currentPrimary: 'pg-1' }), walName, destination, rewind: false, signal };
    await restorer.restore({ ...request, ...changes });
    assertContent(content);
  };
  return { restorer, next };
}

async function restore(
  request: Partial<RestoreRequest> = {},
  configuration: Partial<ObjectStore['spec']['configuration']> = {},
  telemetry: Pick<WalRestorerDeps, 'events' | 'metrics'> = {},
): Promise<void> {
  let nowMs = 0;
  const patience = {
    ...DEFAULT_PATIENCE,
    now: () => nowMs,
    sleep: async (ms: number) => {
      nowMs += ms;
      assert.ok(nowMs < 3_600_000, 'still waiting after an hour');
    },
  };
  const restorer = createWalRestorer({
    archives: fakeArchives(stores, configuration),
    podName: 'pg-2',
    spoolDirectory: join(folder, 'spool'),
    log: silentLog(),
    patience,
    ...telemetry,
  });
  try {
    await restorer.restore({
      cluster: cluster({ currentPrimary: 'pg-1' }),
      walName: X,
      destination,
      rewind: false,
      signal: new AbortController().signal,
      ...request,
    });
  } finally {
    await restorer.stop();
  }
}

function recorded() {
  const told: string[] = [];
  const registry = new Metrics();
  const warn: Events['warn'] = (_cluster, reason, message) => told.push(`${reason}: ${message}`) > 0;
  return {
    told,
    registry,
    events: { warn, inform: warn, settled: async () => undefined },
    metrics: createWalMetrics(registry),
  };
}

/** What was counted about restores, by name and labels. */
function countsOf(registry: Metrics): Record<string, number> {
  const samples = registry.samples().filter(({ name }) => name.includes('restore'));
  return Object.fromEntries(samples.map(({ name, labels, value }) => [`${name} ${labels.join(' ')}`, value]));
}

function cluster(status: Cluster['status']): Cluster {
  const plugin = (parameters: Record<string, string>) => ({ name: PLUGIN_NAME, parameters });
  return {
    metadata: { name: 'pg' },
    spec: {
      plugins: [plugin({ barmanObjectName: 'own' })],
      externalClusters: [{ name: 'origin', plugin: plugin({ barmanObjectName: 'origin', serverName: 'old' }) }],
      bootstrap: { recovery: { source: 'origin' } },
    },
    ...(status === undefined ? {} : { status }),
  };
}

/** Equality alone: the difference of two mebibytes would take minutes to print. */
function assertContent(expected: Buffer): void {
  assert.ok(readFileSync(destination).equals(expected), 'the file has another content');
}
