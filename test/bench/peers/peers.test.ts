// How peers are told what to do; WAL-G's program is a script here that writes down what it was called with.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Account } from '../../unprivileged.ts';
import { formatConfiguration } from './pgbackrest.ts';
import { runPeer } from './run.ts';
import { walGBase, walGWal } from './wal-g.ts';

const store = { host: '127.0.0.1', port: 9443, bucket: 'peer', accessKeyId: 'id', secretAccessKey: 'secret' };
const caller: Account = {
  name: undefined,
  invoke: (program, args) => ({ program, args: [...args] }),
  own: async () => {},
  executableFolder: async (folder) => folder,
};

test('pgBackRest gets its repository, packing and processes; a server only where one runs', () => {
  const place = { store, folder: '/f', pgdata: '/pgdata' };
  const text = formatConfiguration(place, 'backlog-gzip', { type: 'gz', level: 6 }, { processes: 8, async: true });
  const lines = text.split('\n');
  for (const line of ['repo1-path=/backlog-gzip', 'repo1-storage-port=9443', 'repo1-storage-verify-tls=n']) {
    assert.ok(lines.includes(line), line);
  }
  for (const line of ['compress-type=gz', 'compress-level=6', 'process-max=8', 'archive-async=y', 'pg1-path=/pgdata']) {
    assert.ok(lines.includes(line), line);
  }
  assert.doesNotMatch(text, /pg1-(user|port)|undefined/);
  const postgres = { socketFolder: '/run', port: 5432 };
  const online = formatConfiguration({ ...place, postgres }, 'base', { type: 'lz4' }, { processes: 2 });
  assert.match(online, /^pg1-socket-path=\/run\npg1-port=5432\npg1-user=postgres$/m);
  assert.doesNotMatch(online, /compress-level|archive-async/);
});

test('WAL-G is called for each file and told its place, and has no gzip', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-wal-g-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const program = join(folder, 'wal-g');
  const written = '"$*" "$WALG_S3_PREFIX" "$WALG_COMPRESSION_METHOD" "$AWS_ENDPOINT"';
  await writeFile(program, `#!/bin/sh\necho ${written} >>'${folder}/calls'\n`, { mode: 0o755 });
  const given = { ...store, endpoint: 'http://127.0.0.1:9000' };
  const place = { store: given, program, account: caller, pgdata: folder };
  const wal = walGWal(place);
  assert.deepEqual([wal.packs('gzip'), wal.packs('lz4'), walGBase(place).packs('bzip2')], [false, true, false]);
  await wal.archiveEach('lz4', ['/pg_wal/A', '/pg_wal/B']);
  await wal.restore('zstd', ['A'], join(folder, 'A'));
  await walGBase(place).backup('none');
  assert.deepEqual((await readFile(join(folder, 'calls'), 'utf8')).trimEnd().split('\n'), [
    'wal-push /pg_wal/A s3://peer/wal-g/one-lz4 lz4 http://127.0.0.1:9000',
    'wal-push /pg_wal/B s3://peer/wal-g/one-lz4 lz4 http://127.0.0.1:9000',
    `wal-fetch A ${join(folder, 'A')} s3://peer/wal-g/backlog-zstd zstd http://127.0.0.1:9000`,
    `backup-push ${folder} --full s3://peer/wal-g/base-none none http://127.0.0.1:9000`,
  ]);
});

test('a peer that fails ends the run with its own words', async () => {
  const failing = runPeer('/bin/sh', ['-c', 'echo no such stanza >&2; exit 3'], { env: {} });
  await assert.rejects(failing, /ended with 3: no such stanza/);
});
