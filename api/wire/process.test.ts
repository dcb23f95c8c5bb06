import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterEach, test } from 'node:test';

const MODULE = JSON.stringify(import.meta.resolve('./process.ts'));

const children = new Set<ChildProcess>();

// A child that a failing claim leaves behind would keep the test process waiting for it.
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  children.clear();
});

/** Runs a program whose main function has this body; `say` writes one line to standard output. */
function run(body: string, options = '{}'): ChildProcess {
  const program = `import { runProgram } from ${MODULE};
    import { writeSync } from 'node:fs';
    const say = (line) => writeSync(1, line + '\\n');
    const forever = () => setInterval(() => {}, 1 << 30);
    runProgram(async () => { ${body} }, ${options});`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  return child;
}

async function finish(child: ChildProcess): Promise<{ status: number | null; errors: string }> {
  const chunks: string[] = [];
  child.stderr?.setEncoding('utf8').on('data', (text: string) => chunks.push(text));
  const [status] = await once(child, 'close');
  return { status, errors: chunks.join('') };
}

async function line(child: ChildProcess, wanted: string): Promise<void> {
  assert.ok(child.stdout !== null);
  for await (const text of createInterface({ input: child.stdout })) if (text === wanted) return;
  assert.fail(`ended without saying ${wanted}`);
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`stops once on ${signal} and exits 0`, async () => {
    const child = run(`forever(); setImmediate(say, 'up'); return { stop: async () => writeSync(2, 'stopped;') };`);
    const finished = finish(child);
    await line(child, 'up');
    child.kill(signal);
    assert.deepEqual(await finished, { status: 0, errors: 'stopped;' });
  });
}

test('a second signal does not wait for the stop', async () => {
  const child = run(`forever(); setImmediate(say, 'up');
    return { stop: () => { setImmediate(say, 'stopping'); return new Promise(() => {}); } };`);
  const finished = finish(child);
  await line(child, 'up');
  child.kill('SIGTERM');
  await line(child, 'stopping');
  child.kill('SIGTERM');
  assert.deepEqual(await finished, { status: 1, errors: 'cellar: second SIGTERM: not waiting any longer\n' });
});

test('a stop that never ends does not keep the process', async () => {
  const child = run(
    `forever(); setImmediate(say, 'up'); return { stop: () => new Promise(() => {}) };`,
    '{ stopLimitMs: 5 }',
  );
  const finished = finish(child);
  await line(child, 'up');
  child.kill('SIGTERM');
  assert.deepEqual(await finished, { status: 1, errors: 'cellar: not stopped 5 ms after SIGTERM\n' });
});

test('exits with the status that main gives back, although something still runs', async () => {
  assert.deepEqual(await finish(run('forever(); return 3;')), { status: 3, errors: '' });
});

const FAILURES = {
  'a failing start': [`forever(); throw new Error('NAMESPACE: missing');`, /^cellar: NAMESPACE: missing\n$/],
  'an uncaught error': [
    `forever(); setImmediate(() => { throw new Error('two\\n  lines'); }); return { stop() {} };`,
    /^cellar: two lines\n$/,
  ],
  'a rejection that nobody handles': [
    `forever(); setImmediate(() => Promise.reject(new Error('lost'))); return { stop() {} };`,
    /^cellar: lost\n$/,
  ],
  'a bug': ['forever(); return null.stop;', /^cellar: unexpected TypeError: Cannot read .* \(at .*\)\n$/],
  'something thrown that is no error': [`forever(); throw 'words';`, /^cellar: unexpected failure: words\n$/],
} as const;

for (const [title, [body, expected]] of Object.entries(FAILURES)) {
  test(`${title} ends the process with one line and status 1`, async () => {
    const { status, errors } = await finish(run(body));
    assert.equal(status, 1);
    assert.match(errors, expected);
  });
}

test('a stop that fails ends the process with status 1', async () => {
  const child = run(`forever(); setImmediate(say, 'up'); return { stop: async () => { throw new Error('stuck'); } };`);
  const finished = finish(child);
  await line(child, 'up');
  child.kill('SIGTERM');
  assert.deepEqual(await finished, { status: 1, errors: 'cellar: stuck\n' });
});

test('a signal during the start ends the process at once with status 0', async () => {
  const child = run(`forever(); say('starting'); await new Promise(() => {});`);
  const finished = finish(child);
  await line(child, 'starting');
  child.kill('SIGTERM');
  assert.deepEqual(await finished, { status: 0, errors: '' });
});

test('waits for a main function that only waits for timers that do not keep Node alive', async () => {
  const { status } = await finish(run(`return new Promise((resolve) => setTimeout(resolve, 20, 7).unref());`));
  assert.equal(status, 7);
});
