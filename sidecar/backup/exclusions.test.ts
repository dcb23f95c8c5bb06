import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dataRules, tablespaceRules } from './exclusions.ts';

const DATA: [string, 'folder' | 'file', string][] = [
  ['PG_VERSION', 'file', 'take'],
  ['base', 'folder', 'take'],
  ['base/5/1259', 'file', 'take'],
  ['base/5/t3_16384', 'file', 'skip'],
  ['base/5/t3_16384_vm.1', 'file', 'skip'],
  ['base/5/t3_archive', 'file', 'take'],
  ['custom/t3_16384', 'file', 'take'],
  ['base/5/pg_internal.init', 'file', 'skip'],
  ['base/pgsql_tmp', 'folder', 'skip'],
  ['base/pgsql_tmp/pgsql_tmp1.0', 'file', 'skip'],
  ['pg_wal', 'folder', 'empty'],
  ['pg_replslot', 'folder', 'empty'],
  ['log', 'folder', 'empty'],
  ['custom/log', 'folder', 'take'],
  ['pg_stat', 'folder', 'take'],
  ['global/pg_control', 'file', 'skip'],
  ['global/1262', 'file', 'take'],
  ['backup_label', 'file', 'skip'],
  ['tablespace_map', 'file', 'skip'],
  ['backup_manifest', 'file', 'skip'],
  ['postmaster.pid', 'file', 'skip'],
  ['standby.signal', 'file', 'skip'],
  ['postgresql.auto.conf', 'file', 'take'],
  ['postgresql.auto.conf.tmp', 'file', 'skip'],
  ['inside/tb', 'folder', 'skip'],
  ['inside', 'folder', 'take'],
];
for (const [path, kind, verdict] of DATA) {
  test(`in PGDATA the ${kind} ${path}: ${verdict}`, () => assert.equal(dataRules(['inside/tb'])(path, kind), verdict));
}

const TABLESPACE: [string, 'folder' | 'file', string][] = [
  ['PG_18_202506291', 'folder', 'take'],
  ['PG_18_202506291/5/16400', 'file', 'take'],
  ['PG_18_202506291/5/t1_16400', 'file', 'skip'],
  ['PG_18_202506291/pgsql_tmp', 'folder', 'skip'],
  ['PG_17_202406281', 'folder', 'skip'],
  ['PG_17_202406281/5/16400', 'file', 'skip'],
  ['lost+found', 'folder', 'skip'],
];
for (const [path, kind, verdict] of TABLESPACE) {
  test(`in a tablespace of 18 the ${kind} ${path}: ${verdict}`, () =>
    assert.equal(tablespaceRules(18)(path, kind), verdict));
}
