// Ctrl-C in the middle of a start: nothing is left, neither a process nor the folder.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const MAIN = join(import.meta.dirname, 'main.ts');

test('a demo that is interrupted while its parts start leaves no process and no folder', async () => {
  const demo = spawn(process.execPath, [MAIN], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  const started = new Promise<void>((resolve) => {
    demo.stdout.on('data', (chunk) => {
      output += chunk;
      // The store runs, the operator is being started.
      if (output.includes('S3 server')) resolve();
    });
  });
  const ended = new Promise<number | null>((resolve) => demo.once('close', resolve));
  await Promise.race([started, ended]);
  demo.kill('SIGINT');
  assert.equal(await ended, 130, output);
  const folder = /below (\S+)/.exec(output)?.[1] ?? '';
  assert.ok(folder.includes('cellar-demo-'), output);
  assert.equal(existsSync(folder), false, `${folder} is left`);
  assert.deepEqual(
    processes().filter((line) => line.includes(folder)),
    [],
  );
});

/** Command lines and environments of what runs on this machine, as far as we may see them. */
function processes(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .map((pid) => read(`/proc/${pid}/cmdline`) + read(`/proc/${pid}/environ`));
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
