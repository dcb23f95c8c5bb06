import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { CorruptError } from '../../api/errors.ts';
import { emptyBackupInfo, formatBackupInfo, parseBackupInfo } from './info.ts';

const GOLDEN = readFileSync(new URL('golden/backup.info', import.meta.url), 'utf8');

test("barman's own file is read and written back byte for byte", () => {
  const info = parseBackupInfo(GOLDEN);
  assert.equal(info.status, 'DONE');
  assert.deepEqual(info.tablespaces, [{ name: 'tb', oid: 16384, location: '/var/lib/postgresql/tablespaces/tb/data' }]);
  assert.equal(info.systemId, '7710894972835218202');
  assert.match(info.backupLabel ?? '', /\nLABEL: Barman backup cloud 20261122T073041\n/);
  assert.equal(formatBackupInfo(info), GOLDEN);
});

test('every field is written as None when it is not set, hidden ones are left out', () => {
  const lines = formatBackupInfo(emptyBackupInfo()).trimEnd().split('\n');
  assert.deepEqual(lines, lines.toSorted());
  assert.equal(lines.length, 33);
  assert.ok(lines.includes('status=EMPTY'));
  assert.ok(lines.every((line) => line === 'status=EMPTY' || line.endsWith('=None')));
  assert.ok(!lines.some((line) => /^(backup_name|snapshots_info)=/.test(line)));
});

test('ignores unknown fields, comments and blank lines, and never writes the unknown', () => {
  const info = parseBackupInfo(' # comment\n\ngp_dbid=4\nstatus = DONE \n');
  assert.equal(info.status, 'DONE');
  assert.ok(!formatBackupInfo(info).includes('gp_dbid'));
});

test('an error of several lines becomes one line', () => {
  const text = formatBackupInfo({ ...emptyBackupInfo(), error: 'first\nsecond=1' });
  assert.match(text, /^error=first second=1$/m);
  assert.equal(text.split('\n').length, 34);
});

test('quotes in names survive', () => {
  const tablespaces = [{ name: `o'"dd`, oid: 1, location: "/a'b" }];
  assert.deepEqual(parseBackupInfo(formatBackupInfo({ ...emptyBackupInfo(), tablespaces })).tablespaces, tablespaces);
});

for (const [text, field] of [
  ['no equals sign', /line 1/],
  ['timeline=one', /timeline/],
  ['end_time=soon', /end_time/],
  ['status=FINE', /status/],
  ["tablespaces=[('a', 1)]", /tablespaces/],
] as const) {
  test(`refuses ${text} and names it`, () => {
    assert.throws(
      () => parseBackupInfo(text),
      (error) => error instanceof CorruptError && field.test(error.message),
    );
  });
}
