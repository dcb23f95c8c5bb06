// The peers of a run: those whose programs are on the PATH, and why the others are not measured.
import type { Cleanup } from '../../demo/cleanup.ts';
import { findOnPath } from '../../interop/path.ts';
import type { Postgres } from '../../postgres.ts';
import { findMinio } from '../../servers/minio.ts';
import type { Account } from '../../unprivileged.ts';
import type { BenchStore } from '../store.ts';
import { type BarmanBase, findBarmanBase, findBarmanWal } from './barman.ts';
import type { BasePeer, PeerName, WalPeer } from './peer.ts';
import { PGBACKREST, pgBackRestBase, pgBackRestWal } from './pgbackrest.ts';
import { startTlsStore, type TlsStore } from './tls-store.ts';
import { WAL_G, walGBase, walGWal } from './wal-g.ts';

export type Found<Peer> = { peers: Peer[] /** One line about each, for people. */; said: string[] };

type Site = { store: BenchStore; folder: string; account: Account; pgdata: string; cleanup: Cleanup };

/** For WAL; what is started for them is in the cleanup. */
export async function findWalPeers(site: Site): Promise<Found<WalPeer>> {
  const { store, account, pgdata } = site;
  const barman = findBarmanWal(store);
  const tls = await tlsStoreFor(site);
  const walG = findOnPath(WAL_G);
  return found([
    ['barman', barman ?? ABSENT],
    ['pgBackRest', typeof tls === 'string' ? tls : pgBackRestWal({ ...site, store: tls })],
    ['WAL-G', walG === undefined ? ABSENT : walGWal({ store, account, pgdata, program: walG })],
  ]);
}

/** For base backups of a running server. Barman's tools also read and write places of ours. */
export async function findBasePeers(site: Site & { postgres: Postgres }) {
  const { store, account, pgdata, postgres } = site;
  const barman = findBarmanBase(store, postgres);
  const tls = await tlsStoreFor(site);
  const walG = findOnPath(WAL_G);
  const all = found<BasePeer>([
    ['barman', barman ?? ABSENT],
    ['pgBackRest', typeof tls === 'string' ? tls : pgBackRestBase({ ...site, store: tls })],
    ['WAL-G', walG === undefined ? ABSENT : walGBase({ store, account, pgdata, postgres, program: walG })],
  ]);
  return { ...all, barman } satisfies Found<BasePeer> & { barman: BarmanBase | undefined };
}

const ABSENT = 'not on the PATH';

/** The store, or why there is none. */
async function tlsStoreFor({ cleanup }: Site): Promise<TlsStore | string> {
  if (findOnPath(PGBACKREST) === undefined) return ABSENT;
  const minio = findMinio();
  return minio === undefined
    ? 'needs a store with TLS: MinIO (CELLAR_MINIO or the PATH)'
    : startTlsStore(minio, cleanup);
}

function found<Peer>(candidates: readonly (readonly [PeerName, Peer | string])[]): Found<Peer> {
  return {
    peers: candidates.flatMap(([, peer]) => (typeof peer === 'string' ? [] : [peer])),
    said: candidates.map(
      ([name, peer]) => `${name}: ${typeof peer === 'string' ? `not measured, ${peer}` : 'measured'}`,
    ),
  };
}
