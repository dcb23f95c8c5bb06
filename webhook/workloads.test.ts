import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { applyPatch } from 'jsonpatch';
import type { Cluster, Container } from '../api/kube.ts';
import type { ObjectStore } from '../api/objectstore.ts';
import { isJob, type Workload } from '../injector/decide.ts';
import { inject } from '../injector/inject.ts';
import { MissingObjectError, type StoreReads } from '../injector/reads.ts';
import type { Review } from './review.ts';
import { injectWorkload, type WorkloadDeps } from './workloads.ts';

const settings = { sidecarImage: 'example.test/sidecar:1.0.0' };
const UID = '7d2c';

/** The inputs of the injector's golden files: both doors are tested with them. */
type Golden = { object: Workload; cluster: Cluster; stores: ObjectStore[] };

const GOLDEN_FOLDER = join(import.meta.dirname, '../injector/golden');
const POD = golden('worked-example');
const JOB = golden('job-full-recovery');

function golden(name: string): Golden {
  const { input }: { input: Golden } = JSON.parse(readFileSync(join(GOLDEN_FOLDER, `${name}.json`), 'utf8'));
  const { metadata, apiVersion = 'postgresql.cnpg.io/v1' } = input.cluster;
  const owner = { apiVersion, kind: 'Cluster', name: metadata.name, uid: UID, controller: true };
  const labels = { 'cnpg.io/cluster': metadata.name, ...input.object.metadata?.labels };
  return {
    ...input,
    cluster: { ...input.cluster, apiVersion, metadata: { ...metadata, uid: UID } },
    object: { ...input.object, metadata: { ...input.object.metadata, labels, ownerReferences: [owner] } },
  };
}

function review(object: unknown, fields: Partial<Review> = {}): Review {
  return {
    uid: 'u',
    operation: 'CREATE',
    group: '',
    kind: 'Pod',
    namespace: 'shop',
    name: '',
    subResource: '',
    object,
    oldObject: undefined,
    ...fields,
  };
}

function depsFor({ cluster, stores }: Golden, overrides: Partial<StoreReads> = {}): WorkloadDeps {
  const reads: StoreReads = {
    async cluster(namespace, name) {
      if (name === cluster.metadata.name && namespace === 'shop') return cluster;
      throw new MissingObjectError('Cluster', namespace, name);
    },
    async objectStore(namespace, name) {
      const store = stores.find(({ metadata }) => metadata.name === name);
      if (store !== undefined) return store;
      throw new MissingObjectError('ObjectStore', namespace, name);
    },
    ...overrides,
  };
  return { reads, settings, lookUpLimitMs: 60_000 };
}

for (const file of readdirSync(GOLDEN_FOLDER).filter((name) => name.endsWith('.json'))) {
  test(`golden ${file}: this door gives what the lifecycle hook gives`, async () => {
    const input = golden(file.replace(/\.json$/, ''));
    const stores = new Map(input.stores.map((store) => [store.metadata.name, store]));
    const expected = inject(input.object, input.cluster, stores, { ...settings, whenPresent: 'keep' });
    const { verdict, outcome, code } = await injectWorkload(review(input.object), depsFor(input));
    assert.ok(verdict.allowed);
    assert.deepEqual([outcome, code], [expected.outcome, expected.code]);
    const patched = structuredClone(input.object);
    applyPatch(patched, verdict.patch ?? []);
    assert.deepEqual(patched, expected.object);
  });
}

for (const [title, input] of [
  ['an instance Pod', POD],
  ['a recovery Job', JOB],
] as const) {
  test(`${title} gets exactly what the lifecycle hook would give it`, async () => {
    const stores = new Map(input.stores.map((store) => [store.metadata.name, store]));
    const expected = inject(input.object, input.cluster, stores, settings);
    const { verdict, outcome, code } = await injectWorkload(review(input.object), depsFor(input));
    assert.ok(verdict.allowed && verdict.patch);
    assert.deepEqual([outcome, code], [expected.outcome, expected.code]);
    const patched = structuredClone(input.object);
    applyPatch(patched, verdict.patch);
    assert.deepEqual(patched, expected.object);
    assert.notDeepEqual(patched, input.object);
  });

  test(`${title} that has its sidecar is left alone, even when its stores cannot be read`, async () => {
    const stores = new Map(input.stores.map((store) => [store.metadata.name, store]));
    const { object } = inject(input.object, input.cluster, stores, settings);
    const deps = depsFor(input, { objectStore: () => Promise.reject(new Error('down')) });
    const { verdict, outcome, code } = await injectWorkload(review(object), deps);
    assert.deepEqual(verdict, { allowed: true, warnings: [], patch: [] });
    assert.deepEqual([outcome, code], ['skipped', 'already-injected']);
  });

  test(`${title} whose sidecar lost its restartPolicy gets that back, and nothing else`, async () => {
    const stores = new Map(input.stores.map((store) => [store.metadata.name, store]));
    const { object } = inject(input.object, input.cluster, stores, settings);
    const stripped = structuredClone(object);
    const sidecar = initContainers(stripped).at(-1);
    assert.ok(sidecar);
    delete sidecar.restartPolicy;
    const { verdict, code } = await injectWorkload(review(stripped), depsFor(input));
    assert.ok(verdict.allowed && verdict.patch);
    assert.equal(code, 'repaired');
    assert.equal(verdict.patch.length, 1);
    applyPatch(stripped, verdict.patch);
    assert.deepEqual(stripped, object);
  });
}

function initContainers(object: Workload): Container[] {
  return (isJob(object) ? object.spec.template.spec : object.spec).initContainers ?? [];
}

for (const [title, given, code] of [
  ['an update', review(POD.object, { operation: 'UPDATE' }), 'not-a-creation'],
  ['an ephemeral container', review(POD.object, { subResource: 'ephemeralcontainers' }), 'not-a-creation'],
  ['a Pod of nobody', review({ metadata: {} }), 'no-cluster-label'],
  ['a pooler', review(withLabels({ 'cnpg.io/podRole': 'pooler' })), 'pooler-or-other-pod'],
] as const) {
  test(`passes ${title} unchanged, without a warning`, async () => {
    const found = await injectWorkload(given, depsFor(POD));
    assert.equal(found.code, code);
    assert.equal(found.outcome, 'skipped');
    assert.notEqual(found.sentence, '');
    assert.deepEqual({ patch: [], ...found.verdict }, { allowed: true, warnings: [], patch: [] });
  });
}

for (const [title, given, code, warning] of [
  [
    'a Pod that is none',
    review({ metadata: { labels: { 'cnpg.io/cluster': 'orders' } }, spec: 7 }),
    'not-understood',
    /./,
  ],
  [
    'a Pod of a missing Cluster',
    review(POD.object, { namespace: 'other' }),
    'cluster-missing',
    /Cluster other\/orders does not/,
  ],
  ['a Pod without controller', review(withOwner(undefined)), 'owner-mismatch', /no controller owns/],
  ['a Pod of a Job', review(withOwner({ kind: 'Job' })), 'owner-mismatch', /not a Cluster/],
  ['a Pod of another group', review(withOwner({ apiVersion: 'else.io/v1' })), 'owner-mismatch', /not a Cluster/],
  ['a Pod of another Cluster', review(withOwner({ name: 'other' })), 'owner-mismatch', /another Cluster/],
  ['a Pod of an earlier Cluster', review(withOwner({ uid: 'old' })), 'owner-mismatch', /an earlier Cluster/],
] as const) {
  test(`admits ${title} unchanged, with a warning`, async () => {
    const { verdict, ...found } = await injectWorkload(given, depsFor(POD));
    assert.deepEqual([found.outcome, found.code], ['failed', code]);
    assert.ok(verdict.allowed && verdict.patch === undefined);
    assert.match(verdict.warnings.join('|'), warning);
  });
}

test('admits with a warning when a store is missing, or the API server is out of reach', async () => {
  const missing = await injectWorkload(review(POD.object), depsFor({ ...POD, stores: [] }));
  assert.equal(missing.code, 'store-missing');
  assert.match(missing.verdict.warnings.join(), /^no backup sidecar: ObjectStore shop\/\S+ does not exist/);
  const deps = depsFor(POD, { cluster: () => Promise.reject(new Error('connection refused')) });
  const unreachable = await injectWorkload(review(POD.object), deps);
  assert.equal(unreachable.code, 'look-up-failed');
  assert.match(unreachable.verdict.warnings.join(), /connection refused/);
});

test('does not wait for a look-up beyond its limit', async () => {
  const never = depsFor(POD, { cluster: () => Promise.withResolvers<Cluster>().promise });
  const { code, sentence } = await injectWorkload(review(POD.object), { ...never, lookUpLimitMs: 1 });
  assert.equal(code, 'look-up-failed');
  assert.match(sentence, /has not answered within 1 ms/);
});

function withLabels(labels: Record<string, string>): object {
  const { metadata } = POD.object;
  return { ...POD.object, metadata: { ...metadata, labels: { ...metadata?.labels, ...labels } } };
}

function withOwner(change: object | undefined): object {
  const [owner] = POD.object.metadata?.ownerReferences ?? [];
  const ownerReferences = change === undefined ? [] : [{ ...owner, ...change }];
  return { ...POD.object, metadata: { ...POD.object.metadata, ownerReferences } };
}
