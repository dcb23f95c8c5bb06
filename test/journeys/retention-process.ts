// A process that applies a retention policy to one server and ends: for tests that kill it. Its settings are one JSON argument.
import { silentLog } from '../../api/wire/log.ts';
import { runRetention } from '../../sidecar/backup/retention.ts';
import { archiveIn, type RetentionPlace } from './retention-place.ts';

const place: RetentionPlace = JSON.parse(process.argv[2] ?? '');
const archive = archiveIn(place);
const { policy, now } = place;
await runRetention({ archive, policy, now: new Date(now), signal: AbortSignal.timeout(60_000), log: silentLog() });
archive.storage.close();
