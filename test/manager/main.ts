// The double of `/controller/manager`: the two commands that PostgreSQL runs. Exit status 1 on any failure, as the real one.
import { parseArgs } from 'node:util';
import { readManagerSettings } from './settings.ts';
import { archiveWal } from './wal-archive.ts';
import { restoreWal } from './wal-restore.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { settings: { type: 'string' }, 'log-destination': { type: 'string' }, rewind: { type: 'boolean' } },
});

try {
  const settings = await readManagerSettings(values.settings ?? '');
  const [command, first = '', second = ''] = positionals;
  if (command === 'wal-archive') await archiveWal(settings, first);
  else if (command === 'wal-restore') await restoreWal(settings, first, second);
  else throw new Error(`unknown command ${command}`);
} catch (error) {
  console.error(`manager ${positionals.join(' ')}: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
