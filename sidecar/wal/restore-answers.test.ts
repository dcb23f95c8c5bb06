// The table of restore.ts, row by row, as gRPC codes.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { status as grpc } from '@grpc/grpc-js';
import { CancelledError } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import { statusOf } from '../../api/wire/grpc-status.ts';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchives } from '../../test/fake-storage.ts';
import { DEFAULT_PATIENCE } from './persist.ts';
import { createWalRestorer, type RestoreRequest } from './restore.ts';

const X = '0000000100000004000000A7';
const Y = '0000000100000004000000A8';
const POD = 'pg-2';
const content = Buffer.alloc(1 << 20, 'wal');
const folder = mkdtempSync(join(tmpdir(), 'cellar-answers-'));
const destination = join(folder, 'RECOVERYXLOG');
after(() => rmSync(folder, { recursive: true, force: true }));

let storage = new FakeStorage();
let clockMs = 0;
beforeEach(() => {
  rmSync(destination, { force: true });
  storage = new FakeStorage();
  clockMs = 0;
});

type Asker = { cluster: Cluster; rewind?: boolean; server: string };
const standby: Asker = { cluster: cluster({ status: { currentPrimary: 'pg-1' } }), server: 'pg' };
const primary: Asker = { cluster: cluster({ status: { currentPrimary: POD } }), server: 'pg' };
const bootstrap: Asker = { cluster: cluster({ bootstrap: 'origin' }), server: 'old' };
const rewind: Asker = { ...standby, rewind: true };
const designated: Asker = {
  cluster: cluster({ status: { currentPrimary: POD }, replicaSource: 'origin' }),
  server: 'old',
};
const everybody = { standby, primary, bootstrap, rewind, designated };
const notInRecovery = { standby, primary, rewind, designated };

for (const [who, asker] of Object.entries(everybody)) {
  test(`row 1: ${who}, not a WAL name: INVALID_ARGUMENT`, async () => {
    assert.equal(await answer(asker, { walName: 'pg_control' }), grpc.INVALID_ARGUMENT);
    assert.deepEqual(storage.requests, []);
  });

  test(`row 2: ${who}, stored: OK`, async () => {
    plant(asker, X);
    assert.equal(await answer(asker), grpc.OK);
  });

  test(`rows 3 to 7: ${who}, absent: NOT_FOUND by one request, each time, never OUT_OF_RANGE`, async () => {
    for (const poll of [1, 2, 3]) {
      assert.equal(await answer(asker), grpc.NOT_FOUND);
      assert.equal(storage.requests.length, poll);
    }
    assert.equal(clockMs, 0);
  });

  test(`row 15: ${who}, trouble or absence ahead changes no answer`, async () => {
    const asked = restorer();
    plant(asker, X);
    assert.equal(await answer(asker, {}, asked), grpc.OK);
    assert.equal(await answer(asker, { walName: Y }, asked), grpc.NOT_FOUND);
    plant(asker, Y);
    storage.before = (_verb, key) => {
      if (!key.includes(X)) throw new Error('trouble ahead');
    };
    assert.equal(await answer(asker, {}, asked), grpc.OK);
    storage.before = undefined;
    assert.equal(await answer(asker, { walName: Y }, asked), grpc.OK);
    await asked.stop();
  });

  test(`row 16: ${who}, absent before and stored now: OK`, async () => {
    const asked = restorer();
    assert.equal(await answer(asker, {}, asked), grpc.NOT_FOUND);
    plant(asker, X);
    assert.equal(await answer(asker, {}, asked), grpc.OK);
    await asked.stop();
  });

  test(`row 17: ${who}, gone before the answer: CANCELLED`, async () => {
    const caller = new AbortController();
    storage.before = () => caller.abort(new CancelledError('the caller went away'));
    assert.equal(await answer(asker, { signal: caller.signal }), grpc.CANCELLED);
  });
}

test('row 8: a standby without a store of its own: NOT_FOUND, nothing is asked', async () => {
  const bare = cluster({ status: { currentPrimary: 'pg-1' } });
  bare.spec.plugins = [];
  assert.equal(await answer({ cluster: bare, server: 'pg' }), grpc.NOT_FOUND);
  assert.deepEqual(storage.requests, []);
});

test('row 9: a bootstrap without a store to recover from: NOT_FOUND, nothing is asked', async () => {
  assert.equal(await answer({ cluster: cluster({}), server: 'pg' }), grpc.NOT_FOUND);
  assert.deepEqual(storage.requests, []);
});

test('row 10: a standby, the history of a timeline above the one of the Cluster: NOT_FOUND, nothing is asked', async () => {
  storage.plant('backups/pg/wals/00000003.history', '2\t0/3000000\treason\n');
  const behind = cluster({ status: { currentPrimary: 'pg-1', timelineID: 2 } });
  const walName = '00000003.history';
  assert.equal(await answer({ cluster: behind, server: 'pg' }, { walName }), grpc.NOT_FOUND);
  assert.deepEqual(storage.requests, []);
});

for (const failure of ['broken', 'throttled', 'refused', 'misconfigured'] as const) {
  test(`row 11: a bootstrap, the store ${failure} for three minutes: no answer, then OK`, async () => {
    plant(bootstrap, X);
    storage.fail('list', failure, 45);
    assert.equal(await answer(bootstrap), grpc.OK);
    assert.ok(clockMs > 120_000, `waited ${clockMs} ms`);
  });
}

for (const [who, asker] of Object.entries(notInRecovery)) {
  test(`row 12: ${who}, throttled or broken: UNAVAILABLE after a minute`, async () => {
    for (const failure of ['throttled', 'broken'] as const) {
      clockMs = 0;
      plant(asker, X);
      storage.fail('list', failure, 100);
      assert.equal(await answer(asker), grpc.UNAVAILABLE);
      assert.ok(clockMs > 50_000 && clockMs <= 60_000, `gave up after ${clockMs} ms`);
      storage = new FakeStorage();
    }
  });

  test(`row 13: ${who}, refused or misconfigured: FAILED_PRECONDITION at once`, async () => {
    for (const failure of ['refused', 'misconfigured'] as const) {
      plant(asker, X);
      storage.fail('list', failure);
      assert.equal(await answer(asker), grpc.FAILED_PRECONDITION);
    }
    assert.equal(clockMs, 0);
  });

  test(`row 14: ${who}, nothing stored decodes: DATA_LOSS at once`, async () => {
    storage.plant(`backups/${asker.server}/wals/0000000100000004/${X}.gz`, 'no gzip');
    assert.equal(await answer(asker), grpc.DATA_LOSS);
    assert.equal(clockMs, 0);
  });
}

function restorer() {
  const patience = {
    ...DEFAULT_PATIENCE,
    now: () => clockMs,
    sleep: async (ms: number) => {
      clockMs += ms;
      assert.ok(clockMs < 3_600_000, 'still waiting after an hour');
    },
  };
  const archives = fakeArchives({ own: storage, origin: storage });
  return createWalRestorer({
    archives,
    podName: POD,
    spoolDirectory: join(folder, 'spool'),
    log: silentLog(),
    patience,
  });
}

/** The code of the answer; a file stands at the destination exactly when it is OK. */
async function answer(asker: Asker, changes: Partial<RestoreRequest> = {}, asked = restorer()): Promise<grpc> {
  rmSync(destination, { force: true });
  const { cluster: asking, rewind: rewinding = false } = asker;
  const signal = new AbortController().signal;
  const request = { cluster: asking, walName: X, destination, rewind: rewinding, signal, ...changes };
  const code = await asked.restore(request).then(
    () => grpc.OK,
    (error) => statusOf(error).code,
  );
  assert.equal(existsSync(destination), code === grpc.OK);
  if (code === grpc.OK) assert.ok(readFileSync(destination).equals(content));
  return code;
}

function plant(asker: Asker, name: string): void {
  storage.plant(`backups/${asker.server}/wals/0000000100000004/${name}`, content);
}

function cluster(facts: { status?: Cluster['status']; bootstrap?: string; replicaSource?: string }): Cluster {
  const plugin = (parameters: Record<string, string>) => ({ name: PLUGIN_NAME, parameters });
  return {
    metadata: { name: 'pg' },
    spec: {
      plugins: [plugin({ barmanObjectName: 'own' })],
      externalClusters: [{ name: 'origin', plugin: plugin({ barmanObjectName: 'origin', serverName: 'old' }) }],
      ...(facts.bootstrap === undefined ? {} : { bootstrap: { recovery: { source: facts.bootstrap } } }),
      ...(facts.replicaSource === undefined ? {} : { replica: { enabled: true, source: facts.replicaSource } }),
    },
    ...(facts.status === undefined ? {} : { status: facts.status }),
  };
}
