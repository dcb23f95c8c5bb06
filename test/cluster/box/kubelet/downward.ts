/** The downward API: a pod's own fields and resources as text. */
import type { V1Container, V1Pod, V1ResourceFieldSelector } from '@kubernetes/client-node';
import { net } from '../addresses.ts';

export function fieldValue(pod: V1Pod, path: string, address: string): string {
  const { metadata, spec } = pod;
  const [, map, key] = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path) ?? [];
  if (key !== undefined) return (map === 'labels' ? metadata?.labels : metadata?.annotations)?.[key] ?? '';
  switch (path) {
    case 'metadata.name':
      return metadata?.name ?? '';
    case 'metadata.namespace':
      return metadata?.namespace ?? '';
    case 'metadata.uid':
      return metadata?.uid ?? '';
    case 'metadata.labels':
      return lines(metadata?.labels);
    case 'metadata.annotations':
      return lines(metadata?.annotations);
    case 'spec.nodeName':
      return spec?.nodeName ?? '';
    case 'spec.serviceAccountName':
      return spec?.serviceAccountName ?? '';
    case 'status.podIP':
    case 'status.podIPs':
      return address;
    case 'status.hostIP':
    case 'status.hostIPs':
      return net.node;
    default:
      throw new Error(`unknown fieldRef ${path}`);
  }
}

const lines = (map: Record<string, string> = {}) =>
  Object.entries(map)
    .map(([k, v]) => `${k}=${JSON.stringify(v)}`)
    .join('\n');

export function resourceValue(pod: V1Pod, selector: V1ResourceFieldSelector, own?: V1Container): string {
  const container = selector.containerName
    ? [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].find(
        (c) => c.name === selector.containerName,
      )
    : own;
  const [kind, resource] = selector.resource.split('.') as ['limits' | 'requests', string];
  const quantity = container?.resources?.[kind]?.[resource];
  const divisor = parseQuantity(selector.divisor && selector.divisor !== '0' ? selector.divisor : '1');
  return String(Math.ceil((quantity ? parseQuantity(quantity) : 0) / divisor));
}

const units: Record<string, number> = {
  '': 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

export function parseQuantity(text: string): number {
  const [, number, unit = ''] = /^([\d.]+)([a-zA-Z]*)$/.exec(text) ?? [];
  const factor = units[unit];
  if (number === undefined || factor === undefined) throw new Error(`not a quantity: ${text}`);
  return Number(number) * factor;
}
