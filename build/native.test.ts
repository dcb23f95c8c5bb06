// The native codecs of a platform, or a clear refusal.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { readLock } from './lock.ts';
import { copyNativePackages } from './native.ts';

const ROOT = dirname(import.meta.dirname);

test('of each codec exactly the native code of one platform is copied', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-native-'));
  t.after(() => rm(folder, { recursive: true }));
  const { platform: os, arch: cpu } = process;
  const copied = await copyNativePackages(ROOT, folder, await readLock(ROOT), { os, cpu });
  const files = await readdir(folder, { recursive: true });
  const native = files.filter((file) => file.endsWith('.node'));
  assert.equal(native.length, 4, native.join(' '));
  assert.ok(native.every((file) => file.includes(`${os}-${cpu}`)));
  assert.ok(copied.every(({ folder: place }) => files.includes(join(place, 'package.json'))));
});

test('a platform whose packages are not installed is refused with the command that installs them', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-native-'));
  t.after(() => rm(folder, { recursive: true }));
  const other = { os: 'linux', cpu: process.arch === 'arm64' ? 'x64' : 'arm64' };
  await assert.rejects(copyNativePackages(ROOT, folder, await readLock(ROOT), other), {
    message: `lz4-napi is not there for linux-${other.cpu}: npm ci --os linux --cpu ${other.cpu} --libc glibc brings it`,
  });
});
