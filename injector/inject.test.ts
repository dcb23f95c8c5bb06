import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidInputError, PreconditionError } from '../api/errors.ts';
import type { Cluster, Pod } from '../api/kube.ts';
import { PLUGIN_NAME } from '../api/names.ts';
import type { InstanceSidecarConfiguration, ObjectStore } from '../api/objectstore.ts';
import { isJob } from './decide.ts';
import { ARGS_DIGEST_VARIABLE } from './environment.ts';
import { inject, storesNeeded } from './inject.ts';
import { findSidecar } from './pod-spec.ts';

const SETTINGS = { sidecarImage: 'example.test/sidecar:1' };

test('refuses to inject without a store that the Cluster refers to', () => {
  assert.throws(
    () => inject(pod(), cluster({ barmanObjectName: 'orders-s3' }), new Map(), SETTINGS),
    (error) => error instanceof PreconditionError && /ObjectStore orders-s3 of Cluster orders/.test(error.message),
  );
});

test('needs no store for what is skipped', () => {
  const initdb = { 'cnpg.io/jobRole': 'initdb' };
  assert.deepEqual(storesNeeded(pod(), cluster({ barmanObjectName: 'orders-s3' })), ['orders-s3']);
  assert.deepEqual(storesNeeded(pod({ labels: initdb }), cluster({ barmanObjectName: 'orders-s3' })), []);
});

test('refuses a Pod without the container that the sidecar belongs to', () => {
  const other = { ...pod(), spec: { containers: [{ name: 'pgbouncer' }] } };
  assert.throws(
    () => inject(other, cluster({}), new Map(), SETTINGS),
    (error) => error instanceof InvalidInputError && /found \["pgbouncer"\].*postgres/.test(error.message),
  );
});

test('refuses a Cluster whose namespace cannot be told and whose apiVersion has no group', () => {
  const nowhere = { ...cluster({}), metadata: { name: 'orders' } };
  assert.throws(() => inject(pod(), nowhere, new Map(), SETTINGS), /metadata.namespace of the Cluster: missing/);
  const odd = { ...cluster({}), apiVersion: 'v1' };
  assert.throws(() => inject(pod(), odd, new Map(), SETTINGS), /found "v1": must be GROUP\/VERSION/);
});

test('changed arguments change the environment, so that the operator rolls the Pods out', () => {
  const digest = (configuration: InstanceSidecarConfiguration) =>
    sidecarOf(configuration).env?.find(({ name }) => name === ARGS_DIGEST_VARIABLE)?.value;
  assert.match(digest({}) ?? '', /^[0-9a-f]{16}$/);
  assert.equal(digest({ logLevel: 'debug' }), digest({ logLevel: 'debug' }));
  assert.notEqual(digest({ logLevel: 'debug' }), digest({}));
  assert.notEqual(
    digest({ additionalContainerArgs: ['--a', '--b'] }),
    digest({ additionalContainerArgs: ['--a --b'] }),
  );
});

test('a store cannot take the digest of the arguments away', () => {
  const env = sidecarOf({ env: [{ name: ARGS_DIGEST_VARIABLE, value: 'mine' }] }).env ?? [];
  assert.equal(env.filter(({ name, value }) => name === ARGS_DIGEST_VARIABLE && value !== 'mine').length, 1);
  assert.ok(!env.some(({ value }) => value === 'mine'));
});

test('a further mount of the scratch volume never takes /controller from the sidecar', () => {
  const paths = ['/run', '/controller', '/tmp'];
  const sidecar = sidecarOf(
    {},
    paths.map((mountPath) => ({ name: 'scratch-data', mountPath })),
  );
  assert.deepEqual(
    sidecar.volumeMounts?.map(({ mountPath }) => mountPath),
    ['/controller', '/plugins'],
  );
});

test('the main container gets the plugins mount even when another plugin brought the volume only', () => {
  const shared = { ...pod(), spec: { ...pod().spec, volumes: [{ name: 'plugins', emptyDir: {} }] } };
  const { object } = inject(shared, cluster({}), new Map(), SETTINGS);
  assert.ok(!isJob(object));
  assert.deepEqual(object.spec.volumes, shared.spec.volumes);
  assert.deepEqual(object.spec.containers[0]?.volumeMounts, [{ name: 'plugins', mountPath: '/plugins' }]);
});

test('a sidecar that is there is rebuilt by the hook and kept by the admission door', () => {
  const first = inject(pod(), cluster({}), new Map(), SETTINGS);
  const newer = { sidecarImage: 'example.test/sidecar:2' };
  assert.equal(imageIn(inject(first.object, cluster({}), new Map(), newer).object), newer.sidecarImage);
  const kept = inject(first.object, cluster({}), new Map(), { ...newer, whenPresent: 'keep' });
  assert.deepEqual([kept.outcome, kept.code], ['skipped', 'already-injected']);
  assert.equal(kept.object, first.object);
});

test('the admission door gives back a restartPolicy that somebody dropped, and nothing else', () => {
  const { object } = inject(pod(), cluster({}), new Map(), SETTINGS);
  const stripped = structuredClone(object);
  assert.ok(!isJob(stripped));
  for (const container of stripped.spec.initContainers ?? []) delete container.restartPolicy;
  const repaired = inject(stripped, cluster({}), new Map(), { sidecarImage: 'other', whenPresent: 'keep' });
  assert.equal(repaired.code, 'repaired');
  assert.deepEqual(repaired.object, object);
});

test('a Pod whose spec has a field named template is a Pod still', () => {
  const odd = pod();
  Object.assign(odd.spec, { template: { any: 'thing' } });
  assert.equal(inject({ ...odd, kind: 'Pod' }, cluster({}), new Map(), SETTINGS).code, 'instance');
});

test('the input is never changed', () => {
  const frozen = deepFreeze({ object: pod(), cluster: cluster({ barmanObjectName: 's' }), store: store('s', {}) });
  inject(frozen.object, frozen.cluster, new Map([['s', frozen.store]]), SETTINGS);
});

function sidecarOf(configuration: InstanceSidecarConfiguration, volumeMounts?: { name: string; mountPath: string }[]) {
  const stores = new Map([['s', store('s', configuration)]]);
  const { object } = inject(pod({ volumeMounts }), cluster({ barmanObjectName: 's' }), stores, SETTINGS);
  return findIn(object);
}

function imageIn(object: Parameters<typeof findIn>[0]) {
  return findIn(object).image;
}

function findIn(object: ReturnType<typeof inject>['object']) {
  assert.ok(!isJob(object));
  return findSidecar(object.spec) ?? assert.fail('no sidecar');
}

function pod(
  options: { labels?: Record<string, string>; volumeMounts?: { name: string; mountPath: string }[] | undefined } = {},
): Pod {
  const main = { name: 'postgres', ...(options.volumeMounts ? { volumeMounts: options.volumeMounts } : {}) };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'orders-1', labels: options.labels ?? {} },
    spec: { containers: [main] },
  };
}

function cluster(parameters: Record<string, string>): Cluster {
  return {
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Cluster',
    metadata: { name: 'orders', namespace: 'shop' },
    spec: { plugins: [{ name: PLUGIN_NAME, parameters }] },
  };
}

function store(name: string, instanceSidecarConfiguration: InstanceSidecarConfiguration): ObjectStore {
  return {
    metadata: { name, namespace: 'shop' },
    spec: { configuration: { destinationPath: 's3://backups/' }, instanceSidecarConfiguration },
  };
}

function deepFreeze<T extends object>(value: T): T {
  for (const item of Object.values(value)) if (typeof item === 'object' && item !== null) deepFreeze(item);
  return Object.freeze(value);
}
