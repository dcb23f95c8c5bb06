// Who runs PostgreSQL and the sidecar.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { PLUGIN_NAME } from '../api/names.ts';
import { firstClosedFolder, lookUp, makeShortFolder, unprivilegedAccount } from './unprivileged.ts';

const isRoot = process.getuid?.() === 0;

test('uid and gid are read from the passwd text, and a missing user is refused with the way out', () => {
  const passwd = 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n';
  assert.deepEqual(lookUp('nobody', passwd), { uid: 65534, gid: 65533 });
  assert.throws(() => lookUp('nobody', 'root:x:0:0::/:/bin/sh\n'), /start this as a plain user/);
});

test('a folder without search permission for a user is found on the path below it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'closed-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(folder, 'below'));
  await chmod(folder, 0o755);
  assert.notEqual(firstClosedFolder(join(folder, 'below'), -1, -1), folder);
  await chmod(folder, 0o750);
  assert.equal(firstClosedFolder(join(folder, 'below'), -1, -1), folder);
  const { uid } = await stat(folder);
  assert.notEqual(firstClosedFolder(join(folder, 'below'), uid, -1), folder);
});

test('short folders leave room for the socket of a Pod', async (t) => {
  const folder = await makeShortFolder('cellar-demo-');
  t.after(() => rm(folder, { recursive: true, force: true }));
  const socket = join(folder, 'pods', 'cluster-restore-1-full-recovery', 'plugins', PLUGIN_NAME);
  assert.ok(Buffer.byteLength(socket) <= 107, socket);
});

test('programs run without root', async (t) => {
  const folder = await makeShortFolder('cellar-user-');
  t.after(() => rm(folder, { recursive: true, force: true }));
  const account = unprivilegedAccount();
  await account.own(folder);
  const { program, args, ...ids } = account.invoke('id', ['-u']);
  const { stdout } = spawnSync(program, args, { ...ids, encoding: 'utf8', cwd: folder });
  assert.notEqual(stdout.trim(), '0');
});

test('a repository in a closed home is still readable to what runs without root', {
  skip: isRoot ? false : 'only root has another user run things',
}, async (t) => {
  const home = await mkdtemp(join(homedir(), '.cellar-closed-'));
  t.after(() => rm(home, { recursive: true, force: true }));
  await chmod(home, 0o700);
  const repository = join(home, 'repository');
  await mkdir(repository);
  await writeFile(join(repository, 'file'), 'read me');
  const account = unprivilegedAccount(repository);
  const { program, args, ...ids } = account.invoke('cat', [join(repository, 'file')]);
  const ran = spawnSync(program, args, { ...ids, encoding: 'utf8', cwd: '/' });
  assert.equal(ran.stdout, 'read me', ran.stderr);

  const native = join(repository, 'package', 'native');
  await mkdir(native, { recursive: true });
  await copyFile('/bin/sh', join(native, 'sh'));
  const copies = await makeShortFolder('cellar-copies-');
  t.after(() => rm(copies, { recursive: true, force: true }));
  await account.own(copies);
  const copy = await account.executableFolder(native, copies);
  assert.equal(dirname(copy), copies);
  assert.ok((await stat(join(copy, 'sh'))).uid !== 0);
});
