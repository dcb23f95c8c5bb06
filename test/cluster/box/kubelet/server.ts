// The kubelet's own endpoint, which the API server calls for `kubectl logs`.
import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:https';
import { makeSelfSigned } from '../../../../api/wire/certificates.ts';
import { net, ports } from '../addresses.ts';
import { logFile } from './container.ts';
import type { Kubelet } from './kubelet.ts';

const DAY_MS = 86_400_000;

/** The API server does not verify a kubelet unless it is told an authority. */
export async function serveKubelet(kubelet: Kubelet): Promise<void> {
  const tls = await makeSelfSigned({
    commonName: 'kubelet',
    ipAddresses: [net.node],
    usages: ['server'],
    validMs: DAY_MS,
  });
  const server = createServer(tls, (request, response) => {
    const url = new URL(request.url ?? '/', 'https://kubelet');
    const [, verb, namespace = '', pod = '', container = ''] = url.pathname.split('/');
    const found = verb === 'containerLogs' ? kubelet.find(namespace, pod)?.container(container) : undefined;
    const restart = (found?.restarts ?? 0) - (url.searchParams.get('previous') === 'true' ? 1 : 0);
    const file = logFile(namespace, pod, container, restart);
    if (!found || !existsSync(file)) {
      response.writeHead(404).end(`no logs at ${url.pathname}\n`);
      return;
    }
    response.writeHead(200, { 'content-type': 'text/plain' });
    createReadStream(file).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(ports.kubelet, net.node, resolve));
}
