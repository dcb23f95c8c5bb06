// `npm run bench -- wal|backup|restore|hooks|admission`: what each costs, every figure beside a floor from the same run. The
// exit status says whether it could be measured, never whether it was fast.
import { createCleanup } from '../demo/cleanup.ts';
import { killLeftOver } from '../process.ts';
import { benchAdmission } from './admission.ts';
import { ADMISSION_USAGE, readAdmissionOptions } from './admission-options.ts';
import { benchBackup } from './base-backup.ts';
import { BASE_USAGE, readBaseOptions } from './base-options.ts';
import { benchRestore } from './base-restore.ts';
import { benchHooks } from './hooks.ts';
import { HOOKS_USAGE, readHooksOptions } from './hooks-options.ts';
import { readWalOptions, WAL_USAGE } from './options.ts';
import { createReport, type Report } from './report.ts';
import { benchWal } from './wal.ts';

const USAGE = `usage: ${WAL_USAGE}\n       ${BASE_USAGE}\n       ${HOOKS_USAGE}\n       ${ADMISSION_USAGE}`;

const story = parse(process.argv.slice(2));
const cleanup = createCleanup();
// A signal often comes twice, from the terminal and from npm: the second must not cut the cleaning up short.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(
    signal,
    () =>
      void cleanup
        .run()
        .then(killLeftOver)
        .finally(() => process.exit(130)),
  );
}
const report = createReport();
try {
  await story(report);
} finally {
  await cleanup.run();
  // Also after a failure: what was measured until then took its time.
  report.printLines();
}

function parse([name = 'nothing', ...args]: readonly string[]): (report: Report) => Promise<void> {
  if (name === '--help' || name === '-h' || args.includes('--help') || args.includes('-h')) {
    console.log(USAGE);
    process.exit(0);
  }
  try {
    if (name === 'wal') {
      const options = readWalOptions(args);
      return (report) => benchWal(options, report, cleanup);
    }
    if (name === 'hooks') {
      const options = readHooksOptions(args);
      return (report) => benchHooks(options, report, cleanup);
    }
    if (name === 'admission') {
      const options = readAdmissionOptions(args);
      return (report) => benchAdmission(options, report, cleanup);
    }
    if (name !== 'backup' && name !== 'restore') {
      throw new Error(`found ${name}: say wal, backup, restore, hooks or admission`);
    }
    const options = readBaseOptions(args);
    return (report) => (name === 'backup' ? benchBackup : benchRestore)(options, report, cleanup);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
    process.exit(2);
  }
}
