import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError, type StoreFailure } from '../../api/errors.ts';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage } from '../../test/fake-storage.ts';
import type { ObjectStorage } from '../store/store.ts';
import { BACKUP_PATIENCE, patientStorage } from './patient-storage.ts';

const BYTES = Buffer.from('bytes');

const REQUESTS: Record<string, (storage: ObjectStorage) => Promise<unknown>> = {
  put: (storage) => storage.put('key', BYTES),
  'a look': (storage) => storage.head('key'),
  'a read': (storage) => storage.get('key'),
  'a deletion': (storage) => storage.delete(['key']),
  'a listing': async (storage) => {
    for await (const _ of storage.list('')) return;
  },
  'a whole upload in parts': async (storage) => {
    const upload = await storage.createMultipart('key');
    await upload.part(1, BYTES);
    return upload.complete();
  },
};

for (const [what, request] of Object.entries(REQUESTS)) {
  test(`${what} waits until a store that is away for a minute comes back`, async () => {
    const { storage, patient, clock } = stage();
    // Each request of its own is away for a minute.
    const failing = new Map<string, number>();
    storage.before = (verb, key) => {
      const backAtMs = failing.get(`${verb} ${key}`) ?? clock.ms + 60_000;
      failing.set(`${verb} ${key}`, backAtMs);
      if (clock.ms < backAtMs) throw storeError('broken');
    };
    await request(patient);
    assert.ok(clock.ms >= 60_000);
  });
}

test('a store that stays away longer than two minutes ends it with its last error', async () => {
  const { storage, patient, clock } = stage();
  storage.before = () => {
    throw storeError('throttled');
  };
  await assert.rejects(patient.put('key', BYTES), { failure: 'throttled' });
  assert.ok(clock.ms > 100_000 && clock.ms <= 120_000, `gave up after ${clock.ms} ms`);
});

test('what patience does not cure is thrown at once', async () => {
  for (const failure of ['refused', 'misconfigured', 'absent', 'conflict'] as const) {
    const { storage, patient, clock } = stage();
    storage.before = () => {
      throw storeError(failure);
    };
    await assert.rejects(patient.put('key', BYTES), { failure });
    assert.equal(clock.ms, 0);
  }
});

test('a conditional put is not repeated: the first try may have met its own condition', async () => {
  const { storage, patient } = stage();
  storage.fail('put', 'broken');
  await assert.rejects(patient.put('key', BYTES, { onlyIf: 'absent' }), { failure: 'broken' });
});

test('a listing goes on behind the last key that it gave', async () => {
  const { storage, patient } = stage();
  const keys = Array.from({ length: 2500 }, (_, index) => `k${String(index).padStart(5, '0')}`);
  for (const key of keys) storage.plant(key, 'x');
  const found: string[] = [];
  for await (const { key } of patient.list('k', { startAfter: 'k00009' })) {
    found.push(key);
    if (found.length % 500 === 0) storage.fail('list', 'broken');
  }
  assert.deepEqual(found, keys.slice(10));
});

test('a signal ends the wait with its reason', async () => {
  const stop = new AbortController();
  const { storage, patient } = stage(() => stop.abort(new Error('cancelled')));
  storage.before = () => {
    throw storeError('broken');
  };
  await assert.rejects(patient.put('key', BYTES, { signal: stop.signal }), /cancelled/);
});

test('what the store has confirmed is told, single puts and uploads', async () => {
  const told: string[] = [];
  const storage = new FakeStorage();
  const signal = AbortSignal.timeout(10_000);
  const patient = patientStorage(storage, { signal, log: silentLog(), onStored: ({ key }) => told.push(key) });
  await patient.put('single', BYTES);
  const upload = await patient.createMultipart('parts');
  await upload.part(1, BYTES);
  assert.deepEqual(told, ['single']);
  await upload.complete();
  assert.deepEqual(told, ['single', 'parts']);
});

/** A store seen with patience on a clock that only sleeping moves. */
function stage(onSleep: () => void = () => undefined) {
  const storage = new FakeStorage();
  const clock = { ms: 0 };
  const patience = {
    ...BACKUP_PATIENCE,
    now: () => clock.ms,
    sleep: async (ms: number, signal: AbortSignal) => {
      clock.ms += ms;
      onSleep();
      signal.throwIfAborted();
    },
  };
  const signal = AbortSignal.timeout(30_000);
  return { storage, clock, patient: patientStorage(storage, { signal, log: silentLog(), patience }) };
}

function storeError(failure: StoreFailure): StoreError {
  return new StoreError({ failure, provider: 'fake', operation: 'any', key: 'key', reason: 'injected' });
}
