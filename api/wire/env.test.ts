import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidInputError } from '../errors.ts';
import { PORT_LIMITS, readSettings } from './env.ts';

test('names the variable that is missing or empty', () => {
  for (const env of [{}, { NAMESPACE: '' }, { NAMESPACE: undefined }]) {
    assert.throws(() => readSettings(env).required('NAMESPACE'), { name: 'InvalidInputError', field: 'NAMESPACE' });
  }
  assert.equal(readSettings({ NAMESPACE: 'db' }).required('NAMESPACE'), 'db');
});

test('falls back when an optional variable is missing or empty', () => {
  assert.equal(readSettings({}).optional('PGHOST', '/run'), '/run');
  assert.equal(readSettings({ PGHOST: '' }).optional('PGHOST', '/run'), '/run');
  assert.equal(readSettings({ PGHOST: '/x' }).optional('PGHOST', '/run'), '/x');
});

test('reads whole numbers within limits and refuses everything else by name and value', () => {
  assert.equal(readSettings({}).integer('PGPORT', 5432, PORT_LIMITS), 5432);
  assert.equal(readSettings({ PGPORT: '6000' }).integer('PGPORT', 5432, PORT_LIMITS), 6000);
  for (const text of ['0', '65536', '-1', '1.5', '5432x', '0x10', '1e3', ' 5432']) {
    assert.throws(
      () => readSettings({ PGPORT: text }).integer('PGPORT', 5432, PORT_LIMITS),
      (error) => error instanceof InvalidInputError && error.field === 'PGPORT' && error.found === text,
      text,
    );
  }
});
