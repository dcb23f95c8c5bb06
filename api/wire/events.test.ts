import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cluster } from '../kube.ts';
import { createEventWriter, type EventDocument, type EventRepetition } from './events.ts';
import { createLog } from './log.ts';

const MINUTE_MS = 60_000;
const FORBIDDEN = new Error('events is forbidden');

test('the first Warning is an Event on the Cluster, and a repetition counts up the same Event calmly', async () => {
  const { writer, created, repeated, clock } = makeWriter();
  for (let repetition = 0; repetition < 5; repetition += 1) {
    writer.warn(cluster('orders'), 'Waiting', 'no store');
    await writer.settled();
  }
  assert.equal(created.length, 1);
  const [event] = created;
  assert.deepEqual(event?.involvedObject, {
    ...{ apiVersion: 'postgresql.cnpg.io/v1', kind: 'Cluster', name: 'orders', namespace: 'shop', uid: 'u-orders' },
  });
  assert.deepEqual(
    [event?.type, event?.reason, event?.message, event?.metadata.namespace, event?.reportingInstance, event?.count],
    ['Warning', 'Waiting', 'no store', 'shop', 'barman-cloud-0', 1],
  );
  assert.deepEqual(repeated, []);

  clock.ms += MINUTE_MS;
  writer.warn(cluster('orders'), 'Waiting', 'no store');
  await writer.settled();
  assert.equal(created.length, 1);
  assert.deepEqual(repeated, [
    { name: event?.metadata.name, namespace: 'shop', count: 6, lastTimestamp: '2026-11-25T08:01:00Z' },
  ]);
});

test('another Cluster, reason or message is told at once, under a name of its own', async () => {
  const { writer, created } = makeWriter();
  writer.warn(cluster('orders'), 'Waiting', 'no store a');
  writer.warn(cluster('orders'), 'Waiting', 'no store b');
  writer.warn(cluster('orders'), 'Other', 'no store a');
  writer.warn(cluster('bills'), 'Waiting', 'no store a');
  await writer.settled();
  assert.equal(new Set(created.map(({ metadata }) => metadata.name)).size, 4);
});

test('where Events are forbidden one line says so, nobody is asked for five minutes, and then once', async () => {
  const { writer, tried, lines, clock, port } = makeWriter();
  port.failure = FORBIDDEN;
  for (const name of ['a', 'b', 'c']) {
    writer.warn(cluster(name), 'Waiting', 'no store');
    await writer.settled();
  }
  clock.ms += 5 * MINUTE_MS;
  writer.warn(cluster('d'), 'Waiting', 'no store');
  await writer.settled();
  assert.deepEqual(tried, ['a', 'd']);
  assert.deepEqual(lines, ['Events are not written: this service account may not create and patch them']);
});

test('an Event that the API server has forgotten is made anew', async () => {
  const { writer, created, clock, port } = makeWriter();
  writer.warn(cluster('orders'), 'Waiting', 'no store');
  clock.ms += MINUTE_MS;
  await writer.settled();
  port.failure = new Error('events "orders.1" not found');
  writer.warn(cluster('orders'), 'Waiting', 'no store');
  await writer.settled();
  port.failure = undefined;
  clock.ms += MINUTE_MS;
  writer.warn(cluster('orders'), 'Waiting', 'no store');
  await writer.settled();
  assert.deepEqual(
    created.map(({ count }) => count),
    [1, 3],
  );
});

test('messages are cut to what the API server takes, and a Cluster without a namespace is left out', async () => {
  const { writer, created } = makeWriter();
  writer.warn(cluster('orders'), 'Waiting', 'x'.repeat(5000));
  writer.warn({ metadata: { name: 'nowhere' }, spec: {} }, 'Waiting', 'no store');
  await writer.settled();
  assert.deepEqual(
    created.map(({ message }) => message.length),
    [1024],
  );
});

test('of thousands of Clusters the one told of longest ago is forgotten', async () => {
  const { writer, created } = makeWriter();
  const tell = (index: number) => writer.warn(cluster(`c${index}`), 'Waiting', 'no store');
  for (let index = 0; index < 1000; index += 1) tell(index);
  for (const index of [0, 1000, 0, 1]) tell(index);
  await writer.settled();
  const last = created.slice(1000).map(({ involvedObject }) => involvedObject.name);
  assert.deepEqual(last, ['c1000', 'c1']);
});

function makeWriter() {
  const created: EventDocument[] = [];
  const repeated: ({ name: string; namespace: string } & EventRepetition)[] = [];
  const tried: string[] = [];
  const lines: string[] = [];
  const clock = { ms: Date.parse('2026-11-25T08:00:00Z') };
  const port: { failure: Error | undefined } = { failure: undefined };
  const send = (name: string): void => {
    tried.push(name);
    if (port.failure !== undefined) throw port.failure;
  };
  const writer = createEventWriter({
    port: {
      async create(event) {
        send(event.involvedObject.name);
        created.push(event);
      },
      async repeat(namespace, name, repetition) {
        send(name);
        repeated.push({ namespace, name, ...repetition });
      },
      isForbidden: (error) => error === FORBIDDEN,
    },
    instance: 'barman-cloud-0',
    log: createLog({ level: 'info', destination: { write: (line) => void lines.push(JSON.parse(line).msg) } }),
    now: () => clock.ms,
  });
  return { writer, created, repeated, tried, lines, clock, port };
}

function cluster(name: string): Cluster {
  const metadata = { name, namespace: 'shop', uid: `u-${name}` };
  return { apiVersion: 'postgresql.cnpg.io/v1', kind: 'Cluster', metadata, spec: {} };
}
