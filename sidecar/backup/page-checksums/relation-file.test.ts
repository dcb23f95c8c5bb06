import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRelationFile, parseRelationFile } from './relation-file.ts';

test('files of relations are known by their place and their digits', () => {
  const cases: [string, ReturnType<typeof parseRelationFile>][] = [
    ['base/5/16384', { relation: 'base/5/16384', fork: 'main', segment: 0 }],
    ['base/5/16384.12', { relation: 'base/5/16384', fork: 'main', segment: 12 }],
    ['base/5/16384_fsm', { relation: 'base/5/16384', fork: 'fsm', segment: 0 }],
    ['base/5/16384_vm.1', { relation: 'base/5/16384', fork: 'vm', segment: 1 }],
    ['base/5/16384_init', { relation: 'base/5/16384', fork: 'init', segment: 0 }],
    ['./global/1262', { relation: 'global/1262', fork: 'main', segment: 0 }],
    ['PG_18_202506291/5/16390', { relation: 'PG_18_202506291/5/16390', fork: 'main', segment: 0 }],
    [
      'pg_tblspc/16385/PG_18_202506291/5/16390.2',
      { relation: 'pg_tblspc/16385/PG_18_202506291/5/16390', fork: 'main', segment: 2 },
    ],
  ];
  for (const [path, expected] of cases) {
    assert.deepEqual(parseRelationFile(path), expected, path);
    assert.ok(isRelationFile(path), path);
  }
});

test('other files are not taken for relations', () => {
  const paths = [
    ...['global/pg_control', 'global/pg_filenode.map', 'global/pg_internal.init', 'base/5/PG_VERSION', 'PG_VERSION'],
    ...['base/5/t3_16384', 'base/5/t3_16384_fsm', 'base/pgsql_tmp/pgsql_tmp12.0', 'base/5/pg_filenode.map'],
    ...['base/16384', 'base/5/6/16384', 'global/5/16384', 'pg_xact/0000', 'pg_multixact/members/0000', '16384'],
    ...[
      'base/5/16384_old',
      'base/5/16384.',
      'base/5/16384.01',
      'base/5/16384.0',
      'base/5/16384_fsm_vm',
      'base/5/016384',
    ],
    ...['base/5/16384.1_fsm', 'base/5/16384\n', 'x/base/5/16384', 'PG_18_202506291/16390', 'pg_tblspc/16385/5/16390'],
  ];
  for (const path of paths) assert.ok(!isRelationFile(path), path);
});
