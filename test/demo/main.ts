// `npm run demo`: from an applied ObjectStore to a restored database, on real parts, in a folder of its own.
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { killLeftOver } from '../process.ts';
import { makeShortFolder } from '../unprivileged.ts';
import { createCleanup } from './cleanup.ts';
import { type DemoOptions, readOptions, USAGE } from './options.ts';
import { createReport, Unexpected } from './report.ts';
import { runDemo, STEPS } from './run.ts';

const INTERRUPT_LIMIT_MS = 20_000;

process.exitCode = await main();

async function main(): Promise<number> {
  let options: DemoOptions | 'help';
  try {
    options = readOptions(process.argv.slice(2), process.env);
  } catch (error) {
    console.error(`demo: ${messageOf(error)}\n\n${USAGE}`);
    return 2;
  }
  if (options === 'help') {
    console.log(USAGE);
    return 0;
  }
  return demonstrate(options);
}

async function demonstrate(options: DemoOptions): Promise<number> {
  const folder = await makeShortFolder('cellar-demo-');
  const logFolder = join(folder, 'logs');
  await mkdir(logFolder);
  const cleanup = createCleanup();
  const report = createReport(process.stdout, STEPS);
  let running: Promise<unknown> = Promise.resolve();
  const interrupted = onSignal(async (signal) => {
    report.line(`demo: ${signal}: stopping everything and removing ${folder}`);
    await cleanup.run();
    await killLeftOver();
    // The step that was interrupted fails now; until it has, it may still make files and processes.
    await Promise.race([running, delay(INTERRUPT_LIMIT_MS)]);
    await killLeftOver();
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  });
  report.line(`Cellar's demo: everything runs on loopback, below ${folder}`);
  try {
    const run = runDemo(report, options, { folder, logFolder, cleanup });
    running = run.catch(() => undefined);
    const access = await run;
    if (options.keep) {
      report.line(`Kept running until Ctrl-C:\n${access.replaceAll(/^/gm, '    ')}`);
      report.line('demo: PASS');
      await interrupted.forever;
    }
    await cleanup.run();
    await rm(folder, { recursive: true, force: true });
    report.line('demo: PASS');
    return 0;
  } catch (error) {
    if (interrupted.begun()) return interrupted.forever;
    report.line(describeFailure(error, report.current(), logFolder));
    await cleanup.run();
    await removeAllBut(folder, 'logs');
    report.line('demo: FAIL');
    return 1;
  }
}

/** Runs the work at the first SIGINT or SIGTERM and ends the process with the status that shells expect. */
function onSignal(work: (signal: NodeJS.Signals) => Promise<void>) {
  let begun = false;
  const STATUS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (begun) return;
      begun = true;
      const exit = (): never => process.exit(STATUS[signal]);
      work(signal).then(exit, exit);
    });
  }
  return { begun: () => begun, forever: new Promise<never>(() => {}) };
}

/** The step, what was expected, what came, and where to look. */
function describeFailure(error: unknown, step: string | undefined, logFolder: string): string {
  const [expected, came] =
    error instanceof Unexpected ? [error.expected, error.came] : ['the step to succeed', messageOf(error)];
  return [
    `FAILED in step ${step ?? '(none)'}`,
    `    expected: ${expected}`,
    `    came:     ${came.replaceAll('\n', '\n              ')}`,
    `    logs:     ${logFolder}`,
  ].join('\n');
}

async function removeAllBut(folder: string, kept: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name !== kept) await rm(join(folder, name), { recursive: true, force: true });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
