import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from './metrics.ts';

test('a metric without labels is 0 from the start, one with labels appears with its first value', () => {
  const metrics = new Metrics();
  metrics.counter('a_total', 'A.');
  const failures = metrics.counter('b_total', 'B.', ['class']);
  assert.deepEqual(metrics.samples(), [{ name: 'a_total', labels: [], value: 0 }]);
  failures.add(['broken']);
  failures.add(['broken'], 2);
  failures.add(['refused']);
  assert.deepEqual(metrics.samples().slice(1), [
    { name: 'b_total', labels: ['broken'], value: 3 },
    { name: 'b_total', labels: ['refused'], value: 1 },
  ]);
});

test('a gauge holds the last value', () => {
  const metrics = new Metrics();
  const level = metrics.gauge('level', 'L.');
  level.set(5);
  level.set(2);
  assert.deepEqual(metrics.samples(), [{ name: 'level', labels: [], value: 2 }]);
  assert.deepEqual(metrics.definitions(), [{ name: 'level', help: 'L.', kind: 'gauge', labels: [] }]);
});

test('a gauge of what is true now is set when samples are asked for', () => {
  const metrics = new Metrics();
  const age = metrics.gauge('age', 'A.');
  let now = 1;
  metrics.beforeSamples(() => age.set(now));
  assert.equal(metrics.samples()[0]?.value, 1);
  now = 2;
  assert.equal(metrics.samples()[0]?.value, 2);
});

test('what would break a scrape is a bug that shows at once: a name twice, another number of labels', () => {
  const metrics = new Metrics();
  const counter = metrics.counter('a_total', 'A.', ['class']);
  assert.throws(() => metrics.gauge('a_total', 'A.'), /declared twice/);
  assert.throws(() => counter.add(), /labels class: 0 values/);
});
