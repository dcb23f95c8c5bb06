// The process that owns a cluster in a box: it starts everything inside of the network namespace in which it was started
// itself, and stops it all on SIGTERM.
import { mkdirSync, writeFileSync } from 'node:fs';
import { startControlPlane } from '../control-plane.ts';
import { net } from './addresses.ts';
import { connect } from './kube.ts';
import { serveClaims } from './kubelet/claims.ts';
import { Kubelet } from './kubelet/kubelet.ts';
import { serveKubelet } from './kubelet/server.ts';
import { startObjectStore } from './object-store.ts';
import { inState } from './place.ts';
import { serveServices } from './services.ts';

/** Nodes, volumes and certificates are the cluster's own business. */
const CONTROLLERS = [
  ...[
    'deployment',
    'replicaset',
    'statefulset',
    'daemonset',
    'job',
    'cronjob',
    'endpoints',
    'endpointslice',
    'namespace',
  ],
  ...['serviceaccount', 'serviceaccount-token', 'root-ca-certificate-publisher', 'garbage-collector', 'disruption'],
  ...['ttl-after-finished', 'clusterrole-aggregation'],
];

const say = (text: string): void => console.log(`${new Date().toISOString()} ${text}`);
// A fault in the handling of one Pod or one Service must not take the cluster away; it shows in this log.
process.on('uncaughtException', (error) => say(`uncaught: ${error.stack}`));
process.on('unhandledRejection', (error) => say(`unhandled: ${error instanceof Error ? error.stack : error}`));

mkdirSync(inState('logs'), { recursive: true });
const store = await startObjectStore();
const plane = await startControlPlane({
  ...{ folder: inState(), address: net.node, services: net.services },
  controllers: CONTROLLERS.map((name) => `${name}-controller`),
  flags: ['--kubelet-preferred-address-types=InternalIP'],
});
const kubelet = new Kubelet();
process.once('SIGTERM', () => {
  void kubelet
    .stop()
    .then(() => Promise.all([plane.stop(), store.stop('SIGKILL')]))
    .finally(() => process.exit(0));
});
connect();
await serveServices();
await serveClaims();
await kubelet.start();
await serveKubelet(kubelet);
say('ready');
writeFileSync(inState('ready'), '');
