import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { StoreError } from '../errors.ts';
import { LOG_LEVELS } from '../objectstore.ts';
import { createLog, createLogFromFlags, type LogOptions } from './log.ts';

/** A log whose lines can be read back. */
function memoryLog(options: Omit<LogOptions, 'destination'>) {
  const lines: string[] = [];
  const log = createLog({ ...options, destination: { write: (line: string) => lines.push(line) } });
  return { log, records: () => lines.map((line): Record<string, unknown> => JSON.parse(line)), lines };
}

test('writes one JSON object for each line, with level name, time, logger and message', () => {
  const { log, records, lines } = memoryLog({ level: 'info', name: 'instance' });
  log.info({ segment: '000000010000000000000001' }, 'archived');
  const [record] = records();
  assert.match(String(record?.ts), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.deepEqual(
    { ...record, ts: '' },
    { level: 'info', ts: '', logger: 'instance', segment: '000000010000000000000001', msg: 'archived' },
  );
  assert.ok(lines.every((line) => line.indexOf('\n') === line.length - 1));
});

test('knows every level of the ObjectStore and calls a warning a warning', () => {
  for (const [index, level] of LOG_LEVELS.entries()) {
    const { log, records } = memoryLog({ level });
    log.error('error');
    log.warn('warning');
    log.info('info');
    log.debug('debug');
    log.trace('trace');
    const written = records().map((record) => record.level);
    assert.deepEqual(written, LOG_LEVELS.slice(0, index + 1), level);
  }
});

test('redacts fields named like secrets at any depth, in children too, and keeps the others', () => {
  const { log, lines } = memoryLog({ level: 'info' });
  log.child({ sessionToken: 'leak-1', pod: 'pg-1' }).info(
    {
      password: 'leak-2',
      nested: { list: [{ AWS_SECRET_ACCESS_KEY: 'leak-3', region: 'eu' }], clientSecret: { value: 'leak-4' } },
      headers: { Authorization: 'Bearer leak-5' },
      connectionString: 'leak-6',
    },
    'composed',
  );
  const text = lines.join('');
  assert.doesNotMatch(text, /leak/);
  assert.match(text, /"pod":"pg-1"/);
  assert.match(text, /"region":"eu"/);
});

test('shows type, message, stack and causes of an error and none of its fields', () => {
  const { log, records, lines } = memoryLog({ level: 'info' });
  const cause = Object.assign(new Error('socket hang up'), { request: { headers: { 'x-key': 'leak' } } });
  const error = new StoreError(
    { failure: 'broken', provider: 's3', operation: 'put', key: 'a/b', reason: 'cut' },
    { cause },
  );
  log.error({ err: error }, 'failed');
  const [record] = records();
  const shown = record?.err;
  assert.ok(typeof shown === 'object' && shown !== null);
  assert.deepEqual(Object.keys(shown), ['type', 'message', 'stack']);
  assert.match(JSON.stringify(shown), /caused by: Error: socket hang up/);
  assert.doesNotMatch(lines.join(''), /leak/);
});

test('obeys the flags of the command line', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-log-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, 'deep', 'out.log');
  const log = createLogFromFlags(
    {
      'log-level': 'debug',
      'log-destination': file,
      'log-field-level': 'severity',
      'log-field-timestamp': 'when',
    },
    'instance',
  );
  log.debug('here');
  const record: Record<string, unknown> = JSON.parse(await readFile(file, 'utf8'));
  assert.deepEqual(Object.keys(record), ['severity', 'when', 'logger', 'msg']);
});

test('refuses a level that the ObjectStore does not know', () => {
  assert.throws(
    () => createLogFromFlags({ 'log-level': 'loud' }, 'instance'),
    /--log-level: found "loud": use one of error, warning, info, debug, trace/,
  );
});
