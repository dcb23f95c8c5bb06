import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { PreconditionError } from '../api/errors.ts';
import { assertCodecs } from './codecs.ts';

const ROOT = dirname(import.meta.dirname);

test('every codec can be used on this machine', async () => {
  await assertCodecs([process.execPath, join(ROOT, 'main.ts')]);
});

for (const [library, codec] of [
  ['lz4-napi', 'lz4'],
  ['snappy', 'snappy'],
  ['@node-rs', 'CRC-32C of snappy'],
  ['lzma-native', 'xz'],
] as const) {
  test(`without ${library} the start fails and names ${codec}`, async (t) => {
    const program = await programWithout(t, library);
    await assert.rejects(assertCodecs(program), (error) => {
      assert.ok(error instanceof PreconditionError);
      assert.match(error.message, new RegExp(`^the codec ${codec} cannot be used: .* does not load on linux-`));
      return true;
    });
  });
}

/** A copy of the program among packages of which one is missing. */
async function programWithout(t: TestContext, library: string): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-codecs-'));
  t.after(() => rm(folder, { recursive: true }));
  for (const part of ['main.ts', 'package.json', 'api', 'sidecar']) {
    await cp(join(ROOT, part), join(folder, part), { recursive: true });
  }
  const packages = join(ROOT, 'node_modules');
  await cp(join(ROOT, 'package.json'), join(folder, 'node_modules', 'package.json'));
  for (const name of await readdir(packages)) {
    if (name !== library) await symlink(join(packages, name), join(folder, 'node_modules', name));
  }
  return [process.execPath, join(folder, 'main.ts')];
}
