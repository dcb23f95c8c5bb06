// The store port over fake-gcs-server: the suite of every store.
import { createGcsStorage } from '../../sidecar/store/gcs.ts';
import { startFakeGcs } from '../servers/fake-gcs.ts';
import { testStore } from '../store-suite.ts';
import { gcsSettings } from './settings.ts';

const TRAITS = {
  keysOfThreePages: 2_001,
  conditionalPut: true,
  listsUploads: false,
  abortsUploads: true,
  dropsCutPuts: true,
  listsNestedFolders: true,
  knowsStrangers: false,
  partsInOrder: true,
};

testStore('gcs (fake-gcs-server)', TRAITS, async () => {
  const server = await startFakeGcs();
  await server.createBucket('bucket');
  const storage = createGcsStorage(gcsSettings(server.endpoint));
  const missingBucket = createGcsStorage(gcsSettings(server.endpoint, { bucket: 'missing' }));
  const stop = async () => {
    for (const each of [storage, missingBucket]) each.close();
    await server.stop();
  };
  return { storage, missingBucket, strangers: storage, stop };
});
