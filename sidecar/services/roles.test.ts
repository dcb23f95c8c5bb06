// The life of instances in documents: what the operator sends while Clusters are promoted, demoted, switched over, hibernated
// and fenced (cnpg-i-contract.md §5.2, §5.3, §7), call by call over the real socket, and which store answers.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { credentials, status } from '@grpc/grpc-js';
import type { Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import { WALRestoreRequest_Mode as Mode, WALService } from '../../api/proto/gen/wal.ts';
import { startGrpcServer } from '../../api/wire/grpc.ts';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchives } from '../../test/fake-storage.ts';
import { PluginError, shakeHands } from '../../test/handshake.ts';
import { maintain } from '../maintenance/round.ts';
import { NO_EVENTS } from '../telemetry/events.ts';
import { createWalArchiver } from '../wal/archive.ts';
import { createWalRestorer } from '../wal/restore.ts';
import { identityService } from './identity.ts';
import { restoreJobService } from './restore-job.ts';
import { walService } from './wal.ts';

const SEGMENT = '00000001000000000000000A';
/** Each store holds that segment, which says its name, under the server name of its owner. */
const PLACES = { own: 'pg', source: 'site-b', origin: 'old' };
type Place = keyof typeof PLACES;

type Step = {
  title: string;
  cluster: Cluster;
  pod: string;
  /** Archives a file of its own; left out where the manager asks for nothing. */
  archives?: { file: string; to: Place };
  restores: { file?: string; rewind?: boolean; from: Place | 'absent' };
  /** Whether catalog maintenance looks into the store. */
  maintains: boolean;
};

const plugin = (store: Place) => ({
  name: PLUGIN_NAME,
  parameters: { barmanObjectName: store, serverName: PLACES[store] },
});

function document(changes: {
  spec?: Partial<Cluster['spec']>;
  status?: Cluster['status'];
  annotations?: Record<string, string>;
}): Cluster {
  return {
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Cluster',
    metadata: {
      ...{ name: 'pg', namespace: 'db', uid: 'c-1', generation: 3, resourceVersion: '77' },
      ...{ annotations: changes.annotations ?? {} },
    },
    spec: {
      plugins: [{ ...plugin('own'), enabled: true, isWALArchiver: true }],
      externalClusters: [
        { name: 'origin', plugin: plugin('origin') },
        { name: 'site-b', plugin: plugin('source'), connectionParameters: { host: 'site-b-rw' } },
      ],
      ...changes.spec,
    },
    status: { currentPrimary: 'pg-1', targetPrimary: 'pg-1', timelineID: 1, ...changes.status },
  };
}

/** Site pg follows site B, as the documentation's replica cluster. */
const follows = { self: 'pg', primary: 'site-b', source: 'site-b' };
const leads = { self: 'pg', primary: 'pg', source: 'site-b' };
const token = 'eyJkYXRhYmFzZVN5c3RlbUlkZW50aWZpZXIi';

const LIVES: Record<string, Step[]> = {
  'bootstrap by recovery': [
    {
      title: 'the recovery Job reads the origin, whatever the other stores hold',
      pod: 'pg-1-full-recovery',
      cluster: document({
        spec: { bootstrap: { recovery: { source: 'origin' } } },
        status: { currentPrimary: '', targetPrimary: '', timelineID: 0 },
      }),
      restores: { from: 'origin' },
      maintains: false,
    },
    {
      title: 'the primary that has come of it reads and writes its own store',
      pod: 'pg-1',
      cluster: document({ spec: { bootstrap: { recovery: { source: 'origin' } } }, status: { timelineID: 2 } }),
      archives: { file: '00000002.history', to: 'own' },
      restores: { from: 'own' },
      maintains: true,
    },
  ],
  'replica cluster': [
    {
      title: 'the designated primary reads the source and archives into its own store',
      pod: 'pg-1',
      cluster: document({ spec: { replica: follows } }),
      archives: { file: '00000001000000000000000B', to: 'own' },
      restores: { from: 'source' },
      maintains: true,
    },
    {
      title: 'with the older switch as well',
      pod: 'pg-1',
      cluster: document({ spec: { replica: { enabled: true, source: 'site-b' } } }),
      restores: { from: 'source' },
      maintains: true,
    },
    {
      title: 'a standby of it reads its own store',
      pod: 'pg-2',
      cluster: document({ spec: { replica: follows } }),
      restores: { from: 'own' },
      maintains: false,
    },
    {
      title: 'and is told of no timeline that its Cluster has not reached',
      pod: 'pg-2',
      cluster: document({ spec: { replica: follows } }),
      restores: { file: '00000009.history', from: 'absent' },
      maintains: false,
    },
  ],
  'promotion with a token': [
    {
      title: 'while the token is checked the designated primary still reads the source',
      pod: 'pg-1',
      cluster: document({ spec: { replica: { ...leads, promotionToken: token } } }),
      restores: { from: 'source' },
      maintains: true,
    },
    {
      title: 'the promoted primary archives its new timeline into its own store',
      pod: 'pg-1',
      cluster: document({ spec: { replica: { ...leads, promotionToken: token } }, status: { timelineID: 2 } }),
      archives: { file: '00000002000000000000000B', to: 'own' },
      restores: { from: 'source' },
      maintains: true,
    },
    {
      title: 'its standbys read their own store',
      pod: 'pg-2',
      cluster: document({ spec: { replica: leads }, status: { timelineID: 2 } }),
      restores: { from: 'own' },
      maintains: false,
    },
  ],
  demotion: [
    {
      title: 'the primary that is to be demoted archives the last of its WAL',
      pod: 'pg-1',
      cluster: document({ spec: { replica: follows } }),
      archives: { file: '00000001000000000000000C', to: 'own' },
      restores: { from: 'source' },
      maintains: true,
    },
    {
      title: 'and follows the other site from then on',
      pod: 'pg-1',
      cluster: document({ spec: { replica: follows }, status: { timelineID: 2 } }),
      restores: { from: 'source' },
      maintains: true,
    },
  ],
  switchover: [
    {
      title: 'the old primary archives while another one is the target',
      pod: 'pg-1',
      cluster: document({ status: { targetPrimary: 'pg-2' } }),
      archives: { file: '00000001000000000000000D', to: 'own' },
      restores: { from: 'own' },
      maintains: true,
    },
    {
      title: 'the target may look for the history of the next timeline',
      pod: 'pg-2',
      cluster: document({ status: { targetPrimary: 'pg-2' } }),
      restores: { file: '00000009.history', from: 'own' },
      maintains: false,
    },
    {
      title: 'the new primary archives',
      pod: 'pg-2',
      cluster: document({ status: { currentPrimary: 'pg-2', targetPrimary: 'pg-2', timelineID: 2 } }),
      archives: { file: '00000002.history', to: 'own' },
      restores: { from: 'own' },
      maintains: true,
    },
  ],
  failover: [
    {
      title: 'a standby reads its own store while no target is known',
      pod: 'pg-2',
      cluster: document({ status: { targetPrimary: 'pending' } }),
      restores: { from: 'own' },
      maintains: false,
    },
  ],
  'former primary': [
    {
      title: 'it archives what it has left although another one is the primary',
      pod: 'pg-1',
      cluster: document({ status: { currentPrimary: 'pg-2', targetPrimary: 'pg-2', timelineID: 2 } }),
      archives: { file: '00000001000000000000000E', to: 'own' },
      restores: { from: 'own' },
      maintains: false,
    },
    {
      title: 'pg_rewind gets exactly the file that it asks for',
      pod: 'pg-1',
      cluster: document({ status: { currentPrimary: 'pg-2', targetPrimary: 'pg-2', timelineID: 2 } }),
      restores: { rewind: true, from: 'own' },
      maintains: false,
    },
  ],
  hibernation: [
    {
      title: 'on its way down the primary archives its last segment',
      pod: 'pg-1',
      cluster: document({ annotations: { 'cnpg.io/hibernation': 'on' } }),
      archives: { file: '00000001000000000000000F', to: 'own' },
      restores: { from: 'own' },
      maintains: true,
    },
    {
      title: 'awake again it finds no more WAL than there was, and starts',
      pod: 'pg-1',
      cluster: document({ annotations: { 'cnpg.io/hibernation': 'off' } }),
      restores: { file: '000000010000000000000010', from: 'absent' },
      maintains: true,
    },
  ],
  fencing: [
    {
      title: 'the fenced primary, whose PostgreSQL is being stopped, archives',
      pod: 'pg-1',
      cluster: document({ annotations: { 'cnpg.io/fencedInstances': '["*"]' } }),
      archives: { file: '000000010000000000000011', to: 'own' },
      restores: { from: 'own' },
      maintains: true,
    },
    {
      title: 'a fenced standby is served as ever once it starts again',
      pod: 'pg-2',
      cluster: document({ annotations: { 'cnpg.io/fencedInstances': '["pg-2"]' } }),
      restores: { from: 'own' },
      maintains: false,
    },
  ],
};

for (const [life, steps] of Object.entries(LIVES)) {
  for (const step of steps) {
    test(`${life}: ${step.title}`, async (t) => {
      const { archives, restores, maintains } = step;
      const world = await stage(t);
      if (archives !== undefined) assert.equal(await world.archive(step, archives.file), archives.to);
      assert.equal(await world.restore(step), restores.from);
      assert.equal(await world.maintains(step), maintains, 'catalog maintenance');
    });
  }
}

async function stage(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-roles-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const walFolder = join(folder, 'pgdata', 'pg_wal');
  await mkdir(walFolder, { recursive: true });
  const stores = { own: new FakeStorage(), source: new FakeStorage(), origin: new FakeStorage() };
  for (const [place, server] of Object.entries(PLACES) as [Place, string][]) {
    stores[place].plant(`backups/${server}/wals/0000000100000000/${SEGMENT}`, segmentOf(place));
    stores[place].plant(`backups/${server}/wals/00000009.history`, place);
  }
  const archives = fakeArchives(stores);
  const log = silentLog();

  /** The socket of a Pod, for one connection as the manager makes it for each file. */
  const connected = async <T>(
    { pod }: Step,
    work: (connection: Awaited<ReturnType<typeof shakeHands>>) => Promise<T>,
  ): Promise<T> => {
    const archiver = createWalArchiver({ archives, pgdata: join(folder, 'pgdata'), podName: pod, log });
    const restorer = createWalRestorer({ archives, podName: pod, spoolDirectory: join(folder, 'spool'), log });
    const services = [identityService('restore', { version: '1', log }), walService({ archiver, restorer, log })];
    services.push(restoreJobService({ restorer: { restore: async () => ({ config: '', env: [] }) }, log }));
    const server = await startGrpcServer({ services, address: { socket: join(folder, 'socket') }, log });
    const client = await shakeHands(server.address, credentials.createInsecure());
    try {
      return await work(client);
    } finally {
      client.close();
      await server.stop(0);
      await restorer.stop();
    }
  };

  return {
    /** Which store holds the file afterwards. */
    async archive(step: Step, file: string): Promise<Place | undefined> {
      await writeFile(join(walFolder, file), `${file} of ${step.pod}`);
      await connected(step, (connection) =>
        connection.call(WALService.archive, {
          clusterDefinition: Buffer.from(JSON.stringify(step.cluster)),
          sourceFileName: join(walFolder, file),
          parameters: {},
          checkEmptyWalArchive: false,
        }),
      );
      const holders = (Object.keys(PLACES) as Place[]).filter((place) =>
        [...stores[place].objects.keys()].some(
          (key) => key.startsWith(`backups/${PLACES[place]}/wals/`) && key.endsWith(file),
        ),
      );
      assert.equal(holders.length, 1);
      return holders[0];
    },
    /** Which store has served. */
    async restore(step: Step): Promise<string> {
      const { file = SEGMENT, rewind = false } = step.restores;
      const destination = join(folder, 'RECOVERYXLOG');
      try {
        await connected(step, (connection) =>
          connection.call(WALService.restore, {
            clusterDefinition: Buffer.from(JSON.stringify(step.cluster)),
            sourceWalName: file,
            destinationFileName: destination,
            parameters: {},
            mode: rewind ? Mode.MODE_REWIND : Mode.MODE_RECOVERY,
          }),
        );
      } catch (error) {
        assert.ok(error instanceof PluginError && error.code === status.NOT_FOUND, String(error));
        return 'absent';
      }
      return (await readFile(destination, 'utf8')).replaceAll('\0', '');
    },
    async maintains({ cluster, pod }: Step): Promise<boolean> {
      let published = false;
      await maintain(
        {
          kube: { cluster: async () => cluster },
          archives,
          windows: {
            show: () => undefined,
            publish: async () => {
              published = true;
            },
            publishFailure: async () => undefined,
          },
          backupObjects: { list: async () => [], forget: async () => undefined },
          events: NO_EVENTS,
          ...{ namespace: 'db', clusterName: 'pg', podName: pod, log },
        },
        t.signal,
      );
      return published;
    },
  };
}

/** The smallest segment that there is, which says where it is from. */
function segmentOf(place: Place): Buffer {
  const bytes = Buffer.alloc(1024 * 1024);
  bytes.write(place);
  return bytes;
}
