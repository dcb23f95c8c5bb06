import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { BufferPool } from './buffers.ts';

test('what was given back is lent again, if it is large enough', () => {
  const pool = new BufferPool(2);
  const small = pool.take(10);
  const large = pool.take(100);
  pool.give(small);
  pool.give(large);
  assert.equal(pool.take(50), large);
  assert.notEqual(pool.take(50), large);
  assert.equal(pool.take(5), small);
});

test('no more are kept than were asked for, and none after a quiet time', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const pool = new BufferPool(1);
  const [first, second] = [pool.take(10), pool.take(10)];
  pool.give(first);
  pool.give(second);
  assert.equal(pool.take(10), first);
  assert.notEqual(pool.take(10), second);
  pool.give(first);
  mock.timers.tick(30_000);
  assert.notEqual(pool.take(10), first);
  mock.timers.reset();
});
