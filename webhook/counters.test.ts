import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCounters } from './counters.ts';

test('counts by name and labels, and prints them sorted', () => {
  const counters = createCounters();
  assert.equal(counters.text(), '');
  counters.add('b_total', { x: '2' });
  counters.add('b_total', { x: '1', y: 'q"' });
  counters.add('b_total', { x: '2' });
  counters.add('a_total', { x: '1' });
  assert.equal(
    counters.text(),
    '# TYPE a_total counter\na_total{x="1"} 1\n# TYPE b_total counter\nb_total{x="1",y="q\\""} 1\nb_total{x="2"} 2\n',
  );
});

test('durations are counted by how long they took, in seconds', () => {
  const counters = createCounters();
  for (const seconds of [0.001, 0.004, 7]) counters.took('a_seconds', { kind: 'Pod' }, seconds);
  counters.add('b_total', { x: '1' });
  const lines = counters.text().split('\n');
  assert.equal(lines[0], '# TYPE a_seconds histogram');
  for (const line of [
    'a_seconds_bucket{kind="Pod",le="0.001"} 1',
    'a_seconds_bucket{kind="Pod",le="0.0025"} 1',
    'a_seconds_bucket{kind="Pod",le="0.005"} 2',
    'a_seconds_bucket{kind="Pod",le="5"} 2',
    'a_seconds_bucket{kind="Pod",le="+Inf"} 3',
    'a_seconds_sum{kind="Pod"} 7.005',
    'a_seconds_count{kind="Pod"} 3',
    '# TYPE b_total counter',
  ]) {
    assert.ok(lines.includes(line), `${line} in\n${lines.join('\n')}`);
  }
});
