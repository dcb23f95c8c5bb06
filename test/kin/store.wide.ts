// The store port over VersityGW: the suite of every store.
import { startVersityGw } from '../servers/versitygw.ts';
import { testStore } from '../store-suite.ts';
import { BUCKET, openStorage } from '../wal-place.ts';

const TRAITS = {
  keysOfThreePages: 2_001,
  conditionalPut: true,
  listsUploads: true,
  listsUploadsOfFolders: true,
  abortsUploads: true,
  dropsCutPuts: true,
  listsNestedFolders: true,
};

testStore('s3 (VersityGW)', TRAITS, async () => {
  const gateway = await startVersityGw();
  await gateway.createBucket(BUCKET);
  const closing: (() => void)[] = [];
  const closer = { after: (close: () => void) => void closing.push(close) };
  return {
    storage: openStorage(closer, gateway),
    missingBucket: openStorage(closer, gateway, { bucket: 'missing' }),
    strangers: openStorage(closer, { ...gateway, accessKeyId: 'stranger', secretAccessKey: 'of-no-meaning' }),
    async stop() {
      for (const close of closing) close();
      await gateway.stop();
    },
  };
});
