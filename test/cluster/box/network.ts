/** The outer network namespace with its bridge, and one namespace for each pod. */
import { existsSync } from 'node:fs';
import { net } from './addresses.ts';
import { run } from './shell.ts';

export const handle = (ns: string): string => `/run/netns/${ns}`;

export async function makeOuter(name: string): Promise<void> {
  await run('ip', ['netns', 'add', name]);
  await run('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
  // With an address of its own the bridge keeps it: else it takes its lowest port's, and pods go on sending to the old one.
  await run('ip', ['-n', name, 'link', 'add', net.bridge, 'address', '02:00:0a:f4:00:01', 'type', 'bridge']);
  await run('ip', ['-n', name, 'addr', 'add', `${net.node}/${net.prefix}`, 'dev', net.bridge]);
  await run('ip', ['-n', name, 'link', 'set', net.bridge, 'up']);
  await addAddress(net.s3, name);
}

/** Gives the outer namespace one more address. Without `ns` the caller must already be inside. */
export async function addAddress(address: string, ns?: string): Promise<void> {
  await run('ip', [...(ns ? ['-n', ns] : []), 'addr', 'replace', `${address}/32`, 'dev', 'lo']);
}

export async function removeAddress(address: string): Promise<void> {
  await run('ip', ['addr', 'del', `${address}/32`, 'dev', 'lo']).catch(() => undefined);
}

let pods = 0;

export interface PodNetwork {
  address: string;
  handle: string;
  remove(): Promise<void>;
}

/** A namespace with its own address on the bridge. The caller must run inside the outer namespace. */
export async function makePodNetwork(name: string): Promise<PodNetwork> {
  const n = pods++;
  const ns = `${name}-p${n}`;
  const address = net.podAddress(n);
  await run('ip', ['netns', 'add', ns]);
  await run('ip', ['link', 'add', `v${n}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', ns]);
  await run('ip', ['link', 'set', `v${n}`, 'master', net.bridge, 'up']);
  await run('ip', ['-n', ns, 'link', 'set', 'lo', 'up']);
  await run('ip', ['-n', ns, 'addr', 'add', `${address}/${net.prefix}`, 'dev', 'eth0']);
  await run('ip', ['-n', ns, 'link', 'set', 'eth0', 'up']);
  await run('ip', ['-n', ns, 'route', 'add', 'default', 'via', net.node]);
  return { address, handle: handle(ns), remove: () => removeNamespace(ns) };
}

async function removeNamespace(ns: string): Promise<void> {
  if (existsSync(handle(ns))) await run('ip', ['netns', 'del', ns]).catch(() => undefined);
}

/** Removes the outer namespace and every pod namespace that is left. */
export async function removeAll(name: string): Promise<void> {
  const list = await run('ip', ['netns', 'list']);
  for (const line of list.split('\n')) {
    const [ns = ''] = line.split(' ');
    if (ns === name || ns.startsWith(`${name}-p`)) await removeNamespace(ns);
  }
}
