// `npm run bench -- wal`: what archiving and restoring WAL costs, each figure beside a floor from the same run. The exit
// status says whether it could be measured, never whether it was fast.
import { createCleanup } from '../demo/cleanup.ts';
import { type BenchOptions, readOptions, USAGE } from './options.ts';
import { createReport } from './report.ts';
import { benchWal } from './wal.ts';

const options = parse();
const cleanup = createCleanup();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void cleanup.run().finally(() => process.exit(130)));
}
const report = createReport();
try {
  await benchWal(options, report, cleanup);
} finally {
  await cleanup.run();
  // Also after a failure: what was measured until then took its time.
  report.printLines();
}

function parse(): BenchOptions {
  try {
    const read = readOptions(process.argv.slice(2));
    if (read !== 'help') return read;
    console.log(USAGE);
    process.exit(0);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
    process.exit(2);
  }
}
