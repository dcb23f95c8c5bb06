/** Services without kube-proxy: each ClusterIP is an address of the outer namespace with a TCP forwarder, each name a line in a hosts file. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { V1EndpointSlice, V1Namespace, V1Service } from '@kubernetes/client-node';
import { DiscoveryV1Api } from '@kubernetes/client-node';
import { net } from './addresses.ts';
import { type Cache, config, core, follow, idOf } from './kube.ts';
import { hostsDir } from './kubelet/sandbox.ts';
import { addAddress, removeAddress } from './network.ts';

interface Forward {
  address: string;
  /** What it was made from, to tell changes that matter. */
  shape: string;
  servers: Server[];
}

const forwards = new Map<string, Forward>();
let slices: Cache<V1EndpointSlice>;
let services: Cache<V1Service>;
let namespaces: Cache<V1Namespace>;
let lastChange: Promise<unknown> = Promise.resolve();

export async function serveServices(): Promise<void> {
  const discovery = config.makeApiClient(DiscoveryV1Api);
  slices = await follow(
    '/apis/discovery.k8s.io/v1/endpointslices',
    () => discovery.listEndpointSliceForAllNamespaces(),
    {},
  );
  services = await follow('/api/v1/services', () => core.listServiceForAllNamespaces(), {
    change: (service) => inTurn(service, () => open(service)),
    gone: (service) => inTurn(service, () => close(service)),
  });
  namespaces = await follow('/api/v1/namespaces', () => core.listNamespace(), { change: writeHosts });
  writeHosts();
}

const key = (object: { metadata?: { namespace?: string; name?: string } }) =>
  `${idOf(object).namespace}/${idOf(object).name}`;

/** One change after the other: a freed address may come back with the next Service. */
function inTurn(service: V1Service, change: () => Promise<void>): void {
  lastChange = lastChange
    .then(change)
    .then(writeHosts)
    .catch((error) => console.error(`service ${key(service)}: ${error.message}`));
}

async function open(service: V1Service): Promise<void> {
  const { clusterIP: address, ports = [] } = service.spec ?? {};
  const shape = JSON.stringify([address, ports]);
  if (forwards.get(key(service))?.shape === shape) return;
  await close(service);
  if (!address || address === 'None') return;
  await addAddress(address);
  const servers = ports
    .filter((port) => (port.protocol ?? 'TCP') === 'TCP')
    .map((port) => {
      const server = createServer({ noDelay: true }, (client) => forward(client, service, port.name ?? ''));
      server.on('error', (error) => console.error(`service ${key(service)}: ${error.message}`));
      return server.listen(port.port, address);
    });
  forwards.set(key(service), { address, shape, servers });
}

async function close(service: V1Service): Promise<void> {
  const forward = forwards.get(key(service));
  if (!forward) return;
  forwards.delete(key(service));
  for (const server of forward.servers) server.close();
  await removeAddress(forward.address);
}

function forward(client: Socket, service: V1Service, port: string): void {
  const target = endpoint(service, port);
  if (!target) {
    client.resetAndDestroy();
    return;
  }
  const upstream = connect({ ...target, noDelay: true });
  client.pipe(upstream);
  upstream.pipe(client);
  client.on('error', () => upstream.destroy());
  upstream.on('error', () => client.resetAndDestroy());
  client.on('close', () => upstream.destroy());
  upstream.on('close', () => client.destroy());
}

/** A ready endpoint of the Service, drawn by chance. */
function endpoint(service: V1Service, port: string): { host: string; port: number } | undefined {
  const all = slices
    .list(idOf(service).namespace)
    .filter((slice) => slice.metadata?.labels?.['kubernetes.io/service-name'] === idOf(service).name)
    .flatMap((slice) => {
      const number = slice.ports?.find((p) => (p.name ?? '') === port)?.port;
      const ready = (slice.endpoints ?? []).filter(
        (e) => service.spec?.publishNotReadyAddresses || (e.conditions?.ready ?? true),
      );
      return number ? ready.flatMap((e) => e.addresses.map((host) => ({ host, port: number }))) : [];
    });
  return all[Math.floor(Math.random() * all.length)];
}

/** One hosts file for each namespace, replaced in one step: Services by their short names there, and by longer ones everywhere. */
function writeHosts(): void {
  if (!services || !namespaces) return;
  const known = (services.list() as V1Service[]).filter((s) => s.spec?.clusterIP && s.spec.clusterIP !== 'None');
  for (const namespace of namespaces.list() as V1Namespace[]) {
    const here = idOf(namespace).name;
    const lines = ['127.0.0.1 localhost', '::1 localhost', `${net.s3} s3.store.svc s3.store`];
    for (const service of known) {
      const { name, namespace: there } = idOf(service);
      const long = `${name}.${there} ${name}.${there}.svc ${name}.${there}.svc.cluster.local`;
      lines.push(`${service.spec?.clusterIP} ${there === here ? `${name} ` : ''}${long}`);
    }
    const dir = hostsDir(here);
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, 'hosts.new'), `${lines.join('\n')}\n`);
    renameSync(join(dir, 'hosts.new'), join(dir, 'hosts'));
  }
}
