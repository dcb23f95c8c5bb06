// What the measures of base backups work with.
import { availableParallelism, cpus } from 'node:os';
import type { Cleanup } from '../demo/cleanup.ts';
import type { BaseOptions, DataCodecName } from './base-options.ts';
import { type BasePlace, type BaseRig, startBaseRig } from './base-rig.ts';
import { type DataFile, listDataFiles, totalBytes } from './data-files.ts';
import { takeDatabase } from './database.ts';
import { type Floor, startFloor } from './floor.ts';
import type { BarmanBase } from './peers/barman.ts';
import { findBasePeers } from './peers/find.ts';
import type { BasePeer } from './peers/peer.ts';
import type { Report } from './report.ts';
import { type BenchStore, startStore } from './store.ts';

export type BaseBench = {
  options: BaseOptions;
  report: Report;
  store: BenchStore;
  rig: BaseRig;
  floor: Floor;
  /** Of the data folder, with the server at rest. */
  files: DataFile[];
  paths: string[];
  sizeGiB: number;
  /** Those that are here; barman's tools are one of them, and know how to work with places of ours. */
  peers: readonly BasePeer[];
  barman: BarmanBase | undefined;
};

export async function prepareBaseBench(options: BaseOptions, report: Report, cleanup: Cleanup): Promise<BaseBench> {
  const { databaseFolder: folder, sizeMiB, gzipLevel, profileFolder } = options;
  const kept = await takeDatabase({ folder, sizeMiB, cleanup, say: report.say });
  const store = await startStore(options.s3, cleanup);
  const rig = await startBaseRig({ store, pgdata: kept, gzipLevel, profileFolder, cleanup });
  const floor = startFloor(store, cleanup);
  const { peers, barman, said } = await findBasePeers({ ...rig, store, cleanup });
  // The image has JavaScript; here a first start compiles TypeScript, which would show in the first figures.
  await (await rig.startInstance()).stop();
  const files = await listDataFiles(rig.pgdata);
  const sizeGiB = totalBytes(files) / 1024 ** 3;
  report.say(`machine    ${availableParallelism()} × ${cpus()[0]?.model.trim()}, Node ${process.version}`);
  report.say(`database   ${sizeGiB.toFixed(2)} GiB in ${files.length} files from ${folder}`);
  report.say(`store      ${store.what}`);
  report.say(`peers      ${said.join('; ')}\n`);
  const paths = files.map(({ path }) => path);
  return { options, report, store, rig, floor, files, paths, sizeGiB, peers, barman };
}

/** The place of backups that we take ourselves. */
export function placeOf(codec: DataCodecName): BasePlace {
  return { codec, serverName: `ours-${codec}` };
}

/** The tars of a place, with their sizes. */
export async function tarsOf({ store }: BaseBench, { serverName }: BasePlace) {
  const objects = await store.list(`${serverName}/base/`);
  return objects.filter(({ key }) => /\.tar(\.\w+)?$/.test(key));
}
