// What the operator process knows of the cluster without being asked, and the one piece of work that follows from it.
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Log } from '../api/wire/log.ts';
import type { Running } from '../api/wire/process.ts';
import { createFeed, type Feed } from './feed.ts';
import type { ClusterDocument, OperatorKube } from './kube.ts';
import { isForbidden } from './kube-informer.ts';
import { takePart } from './lease.ts';
import { slimCluster, slimStore } from './slim.ts';
import { type StoreDocument, startStoreController } from './store-controller.ts';

/** The Go plugin's lease (objectstore-and-injection.md §7.4): during a switch only one of both writes Roles. */
const LEASE = '822e3f5c.cnpg.io';

export type Following = Running & {
  stores: Feed<StoreDocument>;
  clusters: Feed<ClusterDocument>;
  /** Begins to keep Roles current; with `elect` only while this replica holds the lease. */
  control(options: { elect: boolean; namespace: string | undefined; log: Log }): Running;
};

/** Begins to follow ObjectStores and Clusters; resolves after a bounded wait, whatever the API server does. */
export async function followObjects(kube: OperatorKube, log: Log): Promise<Following> {
  const stores = createFeed(kube.storeInformer(), { plural: 'objectstores', isForbidden, trim: slimStore, log });
  const clusters = createFeed(kube.clusterInformer(), { plural: 'clusters', isForbidden, trim: slimCluster, log });
  const running = await Promise.all([stores.start(), clusters.start()]);
  return {
    ...{ stores, clusters },
    async stop() {
      await Promise.all(running.map((feed) => feed.stop()));
    },
    control({ elect, namespace, log }) {
      const lead = () => startStoreController({ stores, reads: kube, port: kube, log });
      if (!elect) return lead();
      if (namespace === undefined) {
        log.warn('--leader-elect has no effect: outside of a cluster there is no namespace for the lease');
        return lead();
      }
      const identity = `${hostname()}_${randomUUID()}`;
      return takePart({ port: kube.leases, namespace, name: LEASE, identity, log, lead });
    },
  };
}
