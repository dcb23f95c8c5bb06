// Documents as the operator sends them, of every shape that the services take apart: what malformed ones are made from.
import type { Backup, Cluster, Job, Pod } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import type { ObjectStore } from '../../api/objectstore.ts';
import { instancePod, recoveryJob } from '../operator-objects.ts';

export const STORE: ObjectStore = {
  apiVersion: 'barmancloud.cnpg.io/v1',
  kind: 'ObjectStore',
  metadata: { name: 'orders-s3', namespace: 'shop' },
  spec: {
    configuration: {
      destinationPath: 's3://backups/',
      endpointCA: { name: 's3-ca', key: 'ca.crt' },
      s3Credentials: {
        accessKeyId: { name: 's3-creds', key: 'id' },
        secretAccessKey: { name: 's3-creds', key: 'secret' },
      },
    },
    instanceSidecarConfiguration: { logLevel: 'debug', env: [{ name: 'AWS_MAX_ATTEMPTS', value: '10' }] },
  },
};

const plugin = {
  name: PLUGIN_NAME,
  isWALArchiver: true,
  parameters: { barmanObjectName: 'orders-s3', serverName: 'v1' },
};

/** It archives, recovers and replicates through the plugin, so that every branch is taken. */
export const CLUSTER: Cluster = {
  apiVersion: 'postgresql.cnpg.io/v1',
  kind: 'Cluster',
  metadata: { name: 'orders', namespace: 'shop', uid: 'u-1', labels: { team: 'shop' }, annotations: { note: 'any' } },
  spec: {
    imagePullPolicy: 'IfNotPresent',
    serviceAccountName: 'shared',
    plugins: [{ name: 'other.example.test', parameters: { any: 'thing' } }, plugin],
    bootstrap: { recovery: { source: 'old' } },
    replica: { source: 'peer', primary: 'peer' },
    externalClusters: [
      { name: 'old', plugin },
      { name: 'peer', plugin, connectionParameters: { host: 'peer' } },
    ],
    env: [{ name: 'TZ', value: 'UTC' }],
  },
  status: { currentPrimary: 'orders-1', targetPrimary: 'orders-1', timelineID: 1 },
};

export const POD: Pod = instancePod(CLUSTER, { serial: 1, major: 18 });

export const JOB: Job = recoveryJob(CLUSTER, { major: 18 });

export const BACKUP: Backup = {
  apiVersion: 'postgresql.cnpg.io/v1',
  kind: 'Backup',
  metadata: { name: 'orders-20261125080000', namespace: 'shop' },
  spec: { cluster: { name: 'orders' }, method: 'plugin', pluginConfiguration: { name: PLUGIN_NAME } },
};
