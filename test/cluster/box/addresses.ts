// The cluster's own network; nothing of it exists outside of the network namespaces that are made for it.

export const net = {
  bridge: 'br0',
  node: '10.244.0.1',
  podAddress: (n: number): string => `10.244.${1 + Math.floor(n / 250)}.${2 + (n % 250)}`,
  prefix: 16,
  services: '10.96.0.0/16',
  kubernetesService: '10.96.0.1',
  s3: '10.97.0.10',
};

export const ports = { kubelet: 10250, s3: 9000 };

export const s3 = {
  /** As Pods reach it. */
  endpoint: `http://s3.store.svc:${ports.s3}`,
  accessKey: 'clusteraccesskey',
  secretKey: 'clustersecretkey0123456789',
  region: 'us-east-1',
  bucket: 'backups',
};

export const nodes = ['node-1', 'node-2', 'node-3'];
