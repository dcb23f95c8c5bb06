// Whatever comes as an AdmissionReview is answered, with the uid that it had, and costs no memory that stays.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import type { JudgedKind } from '../api/judged-kinds.ts';
import { PLUGIN_NAME } from '../api/names.ts';
import { childOf } from '../api/schema.ts';
import { judgeKind } from './judge-kind.ts';
import type { LookUps } from './look-ups.ts';
import { answerReview, readReview } from './review.ts';

const COUNT = process.env.CELLAR_ALL ? 100_000 : 5_000;
const SEED = 20_261_125;
const MAX_GROWTH_BYTES = 4 * 1024 * 1024;

const KINDS: readonly JudgedKind[] = ['ObjectStore', 'Cluster', 'Backup', 'ScheduledBackup'];

/** Words that rules look at, at the wrong places as well. */
const KEYS = [
  'metadata name namespace annotations deletionTimestamp spec plugins enabled isWALArchiver parameters serverName',
  'barmanObjectName externalClusters plugin bootstrap recovery source backup recoveryTarget targetTime replica primary self',
  'configuration destinationPath endpointURL s3Credentials accessKeyId key retentionPolicy wal data compression jobs tags',
  'instanceSidecarConfiguration env resources limits memory pluginConfiguration method cluster schedule barmanObjectStore',
  '__proto__ constructor toString',
].flatMap((line) => line.split(' '));
const VALUES = [
  PLUGIN_NAME,
  'plugin',
  'source',
  'shop',
  'minio-store',
  's3://b',
  '',
  '\u0000',
  '* * * * *',
  '256Mi',
  '-1',
];

const SELECTOR = { name: 'minio', key: 'a' };
const STANZA = {
  name: PLUGIN_NAME,
  enabled: true,
  isWALArchiver: true,
  parameters: { barmanObjectName: 'minio-store' },
};
const METADATA = { name: 'orders', namespace: 'shop', annotations: { 'cnpg.io/skipEmptyWalArchiveCheck': 'enabled' } };

/** One object that has most of what rules look at, for each kind. */
const WHOLE: Record<JudgedKind, object> = {
  ObjectStore: {
    metadata: { name: 'minio-store', namespace: 'shop' },
    spec: {
      configuration: {
        destinationPath: 's3://b/',
        endpointURL: 'http://minio:9000',
        s3Credentials: { accessKeyId: SELECTOR, secretAccessKey: SELECTOR },
        wal: { compression: 'gzip', maxParallel: 8, archiveAdditionalCommandArgs: ['--a=1'] },
        data: { jobs: 2, additionalCommandArgs: ['--b', '1'] },
        tags: { a: 'b' },
      },
      retentionPolicy: '30d',
      instanceSidecarConfiguration: {
        env: [{ name: 'A', value: 'b' }],
        resources: { limits: { memory: '256Mi' }, requests: { cpu: 1 } },
        logLevel: 'info',
      },
    },
  },
  Cluster: {
    metadata: METADATA,
    spec: {
      plugins: [STANZA],
      externalClusters: [{ name: 'source', plugin: STANZA }],
      bootstrap: { recovery: { source: 'source', recoveryTarget: { targetTime: '2026-11-25 07:00:00' } } },
      replica: { enabled: true, source: 'source', primary: 'a', self: 'b' },
      backup: { barmanObjectStore: { destinationPath: 's3://b' }, retentionPolicy: '30d' },
      env: [{ name: 'SPOOL_DIRECTORY' }],
    },
  },
  Backup: {
    metadata: METADATA,
    spec: {
      cluster: { name: 'orders' },
      method: 'plugin',
      pluginConfiguration: { name: PLUGIN_NAME, parameters: { compression: 'gzip' } },
    },
  },
  ScheduledBackup: {
    metadata: METADATA,
    spec: { schedule: '0 2 * * *', cluster: { name: 'orders' }, pluginConfiguration: { name: PLUGIN_NAME } },
  },
};

/** The whole object with other values, without fields, with fields more, here and there; the same for the same seed. */
function damaged(whole: unknown, random: () => number): unknown {
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)];
  const make = (depth: number): unknown => {
    const kind = random();
    if (depth <= 0 || kind < 0.5) return pick([...VALUES, null, true, false, 0, -1, 1e300]);
    if (kind < 0.7) return Array.from({ length: Math.floor(random() * 4) }, () => make(depth - 1));
    return Object.fromEntries(Array.from({ length: Math.floor(random() * 4) }, () => [pick(KEYS), make(depth - 1)]));
  };
  const damage = (value: unknown): unknown => {
    if (random() < 0.08) return make(4);
    if (Array.isArray(value)) return value.map(damage);
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value).filter(() => random() > 0.06);
    const more = random() < 0.1 ? [[pick(KEYS), make(3)] as const] : [];
    return Object.fromEntries([...entries.map(([key, field]) => [key, damage(field)] as const), ...more]);
  };
  return damage(whole);
}

/** mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** The way of a request, without the server: undefined for what is refused with 400. */
async function answerTo(body: unknown, kind: JudgedKind, around: unknown[], strictReferences = false) {
  let review: ReturnType<typeof readReview>;
  try {
    review = readReview(body);
  } catch (error) {
    assert.equal((error as Error).name, 'InvalidInputError');
    return undefined;
  }
  const lookUps: LookUps = {
    clusters: async () => around,
    objectStores: async () => around,
    backup: async () => around[0],
    secretKeys: async () => undefined,
  };
  const { verdict } = await judgeKind(kind, review, { lookUps, strictReferences });
  return answerReview(review, verdict);
}

function envelope(object: unknown, oldObject: unknown, operation: string): object {
  const request = { uid: 'a-uid', operation, namespace: 'shop', object, oldObject };
  return { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request };
}

test('any JSON document is answered with its uid, or refused as no review', async () => {
  const operation = fc.constantFrom('CREATE', 'UPDATE', 'DELETE', 'CONNECT');
  const near = fc
    .tuple(fc.jsonValue(), fc.jsonValue(), operation)
    .map(([object, old, op]) => envelope(object, old, op));
  const body = fc.oneof(fc.jsonValue(), near);
  await fc.assert(
    fc.asyncProperty(body, fc.constantFrom(...KINDS), async (given, kind) => {
      const answer = await answerTo(given, kind, []);
      const uid = childOf(childOf(given, 'request'), 'uid');
      assert.equal(answer?.response.uid, answer === undefined ? undefined : uid);
    }),
    { numRuns: 2000, seed: SEED },
  );
});

test(`${COUNT} malformed reviews are answered, each with its uid, and memory stays flat`, async (context) => {
  const random = randomOf(SEED);
  let earlyBytes = 0;
  let slowestMs = 0;
  let problems = 0;
  for (let index = 0; index < COUNT; index += 1) {
    const operation = random() < 0.6 ? 'CREATE' : random() < 0.7 ? 'UPDATE' : 'DELETE';
    const kind = KINDS[index % KINDS.length] ?? 'Cluster';
    const make = (other: JudgedKind) => damaged(WHOLE[other], random);
    const body = envelope(make(kind), random() < 0.5 ? make(kind) : null, operation);
    const around = [make('Cluster'), make('ObjectStore'), make('Backup')];
    const startMs = performance.now();
    const answer = await answerTo(body, kind, around, random() < 0.5);
    slowestMs = Math.max(slowestMs, performance.now() - startMs);
    assert.equal(answer?.response.uid, 'a-uid');
    assert.equal(answer.response.patch, undefined);
    problems += (answer.response.warnings?.length ?? 0) + (answer.response.status?.details.causes.length ?? 0);
    if (index === COUNT / 5) earlyBytes = heapInUse();
  }
  assert.ok(problems > COUNT, `only ${problems} problems: the documents are too dull`);
  const lateBytes = heapInUse();
  assert.ok(lateBytes - earlyBytes < MAX_GROWTH_BYTES, `the heap grew from ${earlyBytes} to ${lateBytes} bytes`);
  context.diagnostic(
    `slowest ${slowestMs.toFixed(1)} ms, ${problems} problems, heap ${earlyBytes} to ${lateBytes} bytes`,
  );
});

/** Bytes that a collection leaves. */
function heapInUse(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().heapUsed;
}
