// The services of the operator process over gRPC, against a small API server: what CloudNativePG would see.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import type { Cluster, Pod } from '../api/kube.ts';
import { PLUGIN_NAME } from '../api/names.ts';
import { OperatorLifecycleService, OperatorOperationType_Type as Verb } from '../api/proto/gen/operator_lifecycle.ts';
import { ReconcilerHooksResult_Behavior as Behavior, ReconcilerHooksService } from '../api/proto/gen/reconciler.ts';
import { createEventWriter } from '../api/wire/events.ts';
import { startGrpcServer } from '../api/wire/grpc.ts';
import { silentLog } from '../api/wire/log.ts';
import { resourceOf } from '../test/kube/resources.ts';
import { startKubeApi } from '../test/kube-api.ts';
import { applyStrictly } from '../test/operator-double.ts';
import { createOperatorKube } from './kube.ts';
import { lifecycleService } from './lifecycle.ts';
import { reconcilerService } from './reconciler.ts';

const POD: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'orders-1', namespace: 'shop', labels: { 'cnpg.io/podRole': 'instance' } },
  spec: { containers: [{ name: 'postgres' }] },
};

const STORE = {
  apiVersion: 'barmancloud.cnpg.io/v1',
  kind: 'ObjectStore',
  metadata: { name: 'orders-s3', namespace: 'shop' },
  spec: {
    configuration: {
      destinationPath: 's3://backups/',
      s3Credentials: {
        accessKeyId: { name: 's3-creds', key: 'id' },
        secretAccessKey: { name: 's3-creds', key: 'secret' },
        region: { name: 'a-region', key: 'name' },
      },
    },
  },
};

test('EVALUATE and CREATE answer the same patch, and CREATE of an evaluated Pod answers nothing', async (t) => {
  const { hook, kube } = await openServices(t);
  await kube.apply(STORE);
  const evaluated = await hook(Verb.TYPE_EVALUATE, cluster('orders-s3'), POD);
  assert.ok(evaluated.length > 0);
  assert.deepEqual(await hook(Verb.TYPE_CREATE, cluster('orders-s3'), POD), evaluated);
  const injected = applyStrictly(POD, JSON.parse(evaluated.toString()));
  assert.equal((await hook(Verb.TYPE_CREATE, cluster('orders-s3'), injected)).length, 0);
});

test('verbs that were not subscribed are answered with nothing', async (t) => {
  const { hook } = await openServices(t);
  for (const verb of [Verb.TYPE_PATCH, Verb.TYPE_DELETE, Verb.TYPE_UNSPECIFIED]) {
    assert.equal((await hook(verb, cluster(undefined), POD)).length, 0);
  }
});

test('a missing ObjectStore fails the hook by name, and makes Pre ask the operator to come back', async (t) => {
  const { hook, pre, kube } = await openServices(t);
  await assert.rejects(
    hook(Verb.TYPE_EVALUATE, cluster('nowhere'), POD),
    refusal(status.FAILED_PRECONDITION, /ObjectStore shop\/nowhere does not exist; create it/),
  );
  assert.equal(await pre(cluster('nowhere')), Behavior.BEHAVIOR_REQUEUE);
  assert.equal(kube.objects.list(resourceOf('Role'), 'shop').items.length, 0);
});

test('a missing ObjectStore is an Event on the Cluster that names store, namespace, parameter and what to do', async (t) => {
  const { pre, kube, events } = await openServices(t);
  await pre(cluster('nowhere'));
  await pre(cluster('nowhere'));
  await events.settled();
  const [event, ...more] = kube.objects.list(resourceOf('Event'), 'shop').items;
  assert.deepEqual(more, []);
  assert.equal(event?.reason, 'ObjectStoreMissing');
  assert.equal(
    event.message,
    'ObjectStore nowhere does not exist in namespace shop, and this Cluster waits for it: ' +
      'create it in that namespace, or correct barmanObjectName in spec.plugins',
  );
  const involved = {
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Cluster',
    name: 'orders',
    namespace: 'shop',
    uid: 'u-1',
  };
  assert.deepEqual(event.involvedObject, involved);
  assert.match(String(event.lastTimestamp), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
});

test('documents that are not understood are refused with field and value', async (t) => {
  const { hook } = await openServices(t);
  await assert.rejects(
    hook(Verb.TYPE_CREATE, { spec: {} }, POD),
    refusal(status.INVALID_ARGUMENT, /cluster_definition.metadata: missing/),
  );
  await assert.rejects(
    hook(Verb.TYPE_CREATE, cluster(undefined), { apiVersion: 'v1', kind: 'Service' }),
    refusal(status.INVALID_ARGUMENT, /found "v1 Service": must be a v1 Pod or a batch\/v1 Job/),
  );
});

test('Pre makes Role and RoleBinding for the named stores and Secrets, owned by the Cluster', async (t) => {
  const { pre, kube } = await openServices(t);
  await kube.apply(STORE);
  assert.equal(await pre(cluster('orders-s3')), Behavior.BEHAVIOR_CONTINUE);
  const role = kube.get('Role', 'orders-barman-cloud', 'shop');
  assert.deepEqual(role.rules, [
    rule('barmancloud.cnpg.io', 'objectstores', ['get', 'watch', 'list'], ['orders-s3']),
    rule('barmancloud.cnpg.io', 'objectstores/status', ['update', 'patch'], ['orders-s3']),
    rule('', 'secrets', ['get', 'watch', 'list'], ['a-region', 's3-creds']),
  ]);
  assert.deepEqual(role.metadata.ownerReferences, [
    {
      apiVersion: 'postgresql.cnpg.io/v1',
      kind: 'Cluster',
      name: 'orders',
      uid: 'u-1',
      controller: true,
      blockOwnerDeletion: true,
    },
  ]);
  assert.equal(role.metadata.labels?.['barmancloud.cnpg.io/cluster'], 'orders');
  const binding = kube.get('RoleBinding', 'orders-barman-cloud', 'shop');
  assert.deepEqual(binding.subjects, [{ kind: 'ServiceAccount', name: 'orders', namespace: 'shop' }]);
});

test('a rule without names is left out, because to Kubernetes it would mean all objects', async (t) => {
  const { pre, kube } = await openServices(t);
  const { s3Credentials: _none, ...configuration } = STORE.spec.configuration;
  await kube.apply({ ...STORE, spec: { configuration } });
  await pre(cluster('orders-s3'));
  const resources = () => JSON.stringify(kube.get('Role', 'orders-barman-cloud', 'shop').rules);
  assert.doesNotMatch(resources(), /secrets/);
  await pre(cluster(undefined));
  assert.equal(resources(), '[]');
});

test('the RoleBinding takes the account under which the Pods run, and keeps subjects of others', async (t) => {
  const { pre, kube } = await openServices(t);
  await pre(cluster(undefined));
  await pre({ ...cluster(undefined), spec: { ...cluster(undefined).spec, serviceAccountName: 'shared' } });
  const subjects = kube.get('RoleBinding', 'orders-barman-cloud', 'shop').subjects;
  assert.deepEqual(subjects, [
    { kind: 'ServiceAccount', name: 'orders', namespace: 'shop' },
    { kind: 'ServiceAccount', name: 'shared', namespace: 'shop' },
  ]);
});

test('Pre writes nothing when nothing differs, and puts back what somebody changed', async (t) => {
  const { pre, kube } = await openServices(t);
  await kube.apply(STORE);
  await pre(cluster('orders-s3'));
  const before = kube.requests.length;
  await pre(cluster('orders-s3'));
  assert.deepEqual(
    kube.requests.slice(before).filter((request) => !request.startsWith('GET ')),
    [],
  );
  const role = kube.get('Role', 'orders-barman-cloud', 'shop');
  const labels = { ...role.metadata.labels, theirs: 'kept' };
  await kube.apply({ ...structuredClone(role), metadata: { ...role.metadata, labels }, rules: [] });
  await pre(cluster('orders-s3'));
  const repaired = kube.get('Role', 'orders-barman-cloud', 'shop');
  assert.deepEqual(repaired.rules, role.rules);
  assert.equal(repaired.metadata.labels?.theirs, 'kept');
});

test('a RoleBinding to another Role is refused with what to do', async (t) => {
  const { pre, kube } = await openServices(t);
  await pre(cluster(undefined));
  const binding = structuredClone(kube.get('RoleBinding', 'orders-barman-cloud', 'shop'));
  await kube.apply({ ...binding, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'other' } });
  await assert.rejects(
    pre(cluster(undefined)),
    refusal(status.FAILED_PRECONDITION, /Role other.*delete the RoleBinding/),
  );
});

test('two Pre calls at once both succeed', async (t) => {
  const { pre, kube } = await openServices(t);
  await kube.apply(STORE);
  const answers = await Promise.all([pre(cluster('orders-s3')), pre(cluster('orders-s3')), pre(cluster('orders-s3'))]);
  assert.deepEqual(answers, [Behavior.BEHAVIOR_CONTINUE, Behavior.BEHAVIOR_CONTINUE, Behavior.BEHAVIOR_CONTINUE]);
});

test('Pre of a Backup and Post do nothing', async (t) => {
  const { pre, post, kube } = await openServices(t);
  const backup = { apiVersion: 'postgresql.cnpg.io/v1', kind: 'Backup', metadata: { name: 'b' }, spec: {} };
  assert.equal(await pre(cluster('nowhere'), backup), Behavior.BEHAVIOR_CONTINUE);
  assert.equal(await post(cluster('nowhere')), Behavior.BEHAVIOR_CONTINUE);
  assert.deepEqual(kube.requests, []);
});

test('an API server that is away is told apart from a missing object', async (t) => {
  const { pre, kube } = await openServices(t);
  await kube.stop();
  await assert.rejects(pre(cluster('orders-s3')), refusal(status.UNAVAILABLE, /objectstores shop\/orders-s3/));
});

function rule(group: string, resource: string, verbs: string[], resourceNames: string[]) {
  return { apiGroups: [group], resources: [resource], verbs, resourceNames };
}

function refusal(code: status, message: RegExp) {
  return (error: ServiceError) => {
    assert.equal(error.code, code, error.message);
    assert.match(error.details, message);
    return true;
  };
}

function cluster(barmanObjectName: string | undefined): Cluster {
  return {
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Cluster',
    metadata: { name: 'orders', namespace: 'shop', uid: 'u-1' },
    spec: { plugins: [{ name: PLUGIN_NAME, ...(barmanObjectName ? { parameters: { barmanObjectName } } : {}) }] },
  };
}

async function openServices(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-operator-'));
  t.after(() => rm(folder, { recursive: true }));
  const kube = await startKubeApi({ namespace: 'shop' });
  t.after(() => kube.stop());
  await kube.writeServiceAccount(join(folder, 'account'));
  const client = createOperatorKube({
    kubeconfig: undefined,
    host: kube.host,
    port: kube.port,
    serviceAccountFolder: join(folder, 'account'),
    cnpgGroup: 'postgresql.cnpg.io',
    cnpgVersion: 'v1',
  });
  const log = silentLog();
  const events = createEventWriter({ port: client.events, instance: 'barman-cloud-0', log });
  const server = await startGrpcServer({
    services: [
      lifecycleService({ reads: client, settings: { sidecarImage: 'example.test/sidecar:1' }, log }),
      reconcilerService({ reads: client, access: client, events, version: '0.0.0', log }),
    ],
    address: { socket: join(folder, 'socket') },
    log,
  });
  t.after(() => server.stop(0));
  const channel = new Client(server.address, credentials.createInsecure());
  t.after(() => channel.close());

  type Hook = typeof ReconcilerHooksService.pre | typeof ReconcilerHooksService.post;
  const reconcile = (method: Hook, owner: Cluster, resource: object) =>
    call(channel, method, { clusterDefinition: encode(owner), resourceDefinition: encode(resource) });
  return {
    kube,
    events,
    pre: async (owner: Cluster, resource: object = owner) =>
      (await reconcile(ReconcilerHooksService.pre, owner, resource)).behavior,
    post: async (owner: Cluster) => (await reconcile(ReconcilerHooksService.post, owner, owner)).behavior,
    hook: async (type: Verb, owner: object, object: object) =>
      (
        await call(channel, OperatorLifecycleService.lifecycleHook, {
          operationType: { type },
          clusterDefinition: encode(owner),
          objectDefinition: encode(object),
        })
      ).jsonPatch,
  };
}

type Method<Q, R> = {
  path: string;
  requestSerialize: (request: Q) => Buffer;
  responseDeserialize: (bytes: Buffer) => R;
};

function call<Q, R>(client: Client, method: Method<Q, R>, request: Q): Promise<R> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      (error, answer) => {
        if (error !== null) reject(error);
        else if (answer === undefined) reject(new Error('no answer'));
        else resolve(answer);
      },
    );
  });
}

function encode(document: object): Buffer {
  return Buffer.from(JSON.stringify(document));
}
