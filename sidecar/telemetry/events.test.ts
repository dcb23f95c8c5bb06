import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cluster } from '../../api/kube.ts';
import type { KubeRequest } from '../../api/wire/kube-http.ts';
import { silentLog } from '../../api/wire/log.ts';
import { createEvents } from './events.ts';

const CLUSTER: Cluster = { metadata: { name: 'pg', namespace: 'db', uid: 'u-1' }, spec: {} };

type EventBody = { metadata: { name: string }; count: number; message: string } & Record<string, unknown>;

function stage() {
  const requests: KubeRequest[] = [];
  const clock = { ms: Date.parse('2026-11-24T10:00:00Z') };
  let failing = false;
  const events = createEvents({
    kube: {
      request: async (request) => {
        requests.push(request);
        if (failing) throw new Error('forbidden');
        return {};
      },
    },
    namespace: 'db',
    podName: 'pg-1',
    log: silentLog(),
    now: () => clock.ms,
  });
  const fail = (on: boolean) => {
    failing = on;
  };
  return { events, requests, clock, fail };
}

const bodyOf = (request: KubeRequest | undefined) => request?.body as EventBody;

test('an Event names the Cluster, says Warning, reason and message, and where it comes from', async () => {
  const { events, requests } = stage();
  events.warn(CLUSTER, 'OwnershipConflict', 'another system');
  await events.settled();
  const [request] = requests;
  assert.equal(`${request?.method} ${request?.path}`, 'POST /api/v1/namespaces/db/events');
  const { metadata: _, ...body } = bodyOf(request);
  assert.deepEqual(body, {
    apiVersion: 'v1',
    kind: 'Event',
    involvedObject: {
      apiVersion: 'postgresql.cnpg.io/v1',
      kind: 'Cluster',
      name: 'pg',
      namespace: 'db',
      uid: 'u-1',
    },
    type: 'Warning',
    reason: 'OwnershipConflict',
    message: 'another system',
    source: { component: 'plugin-barman-cloud' },
    reportingComponent: 'barman-cloud.cloudnative-pg.io',
    reportingInstance: 'pg-1',
    firstTimestamp: '2026-11-24T10:00:00Z',
    lastTimestamp: '2026-11-24T10:00:00Z',
    count: 1,
  });
});

test('within a minute the same reason is only counted; then the one Event is patched', async () => {
  const { events, requests, clock } = stage();
  for (const second of [0, 1, 59]) {
    clock.ms = Date.parse('2026-11-24T10:00:00Z') + second * 1000;
    events.warn(CLUSTER, 'WalRestoreWaiting', `waits ${second}`);
  }
  clock.ms += 61_000;
  events.warn(CLUSTER, 'WalRestoreWaiting', 'still waits');
  await events.settled();
  assert.equal(requests.length, 2);
  const { name } = bodyOf(requests[0]).metadata;
  assert.equal(`${requests[1]?.method} ${requests[1]?.path}`, `PATCH /api/v1/namespaces/db/events/${name}`);
  assert.deepEqual(bodyOf(requests[1]), { count: 4, lastTimestamp: '2026-11-24T10:02:00Z', message: 'still waits' });
});

test('good news goes out however soon, as a Normal Event, and a Warning says whether it goes out', async () => {
  const { events, requests } = stage();
  assert.equal(events.warn(CLUSTER, 'ArchivingFailed', 'a'), true);
  assert.equal(events.warn(CLUSTER, 'ArchivingFailed', 'a'), false);
  events.inform(CLUSTER, 'ArchivingResumed', 'b');
  events.inform(CLUSTER, 'ArchivingResumed', 'c');
  await events.settled();
  assert.deepEqual(
    requests.map((request) => [request.method, bodyOf(request).type, bodyOf(request).message]),
    [
      ['POST', 'Warning', 'a'],
      ['POST', 'Normal', 'b'],
      ['PATCH', undefined, 'c'],
    ],
  );
});

test('another reason and another Cluster are Events of their own', async () => {
  const { events, requests } = stage();
  events.warn(CLUSTER, 'WalRestoreWaiting', 'a');
  events.warn(CLUSTER, 'OwnershipConflict', 'b');
  events.warn({ ...CLUSTER, metadata: { ...CLUSTER.metadata, uid: 'u-2' } }, 'WalRestoreWaiting', 'c');
  await events.settled();
  const names = requests.map((request) => bodyOf(request).metadata.name);
  assert.equal(new Set(names).size, 3);
  for (const name of names) assert.match(name, /^pg\.[0-9a-f]{16}$/);
});

test('an Event that cannot be written fails nobody, and the next one is created anew', async () => {
  const { events, requests, clock, fail } = stage();
  fail(true);
  events.warn(CLUSTER, 'OwnershipConflict', 'a');
  await events.settled();
  fail(false);
  clock.ms += 61_000;
  events.warn(CLUSTER, 'OwnershipConflict', 'a');
  await events.settled();
  assert.deepEqual(
    requests.map(({ method }) => method),
    ['POST', 'POST'],
  );
  assert.equal(bodyOf(requests[1]).count, 2);
});

test('a long message is cut to what the API server takes', async () => {
  const { events, requests } = stage();
  events.warn(CLUSTER, 'OwnershipConflict', 'x'.repeat(5000));
  await events.settled();
  assert.equal(bodyOf(requests[0]).message.length, 1024);
});
