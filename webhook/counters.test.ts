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
