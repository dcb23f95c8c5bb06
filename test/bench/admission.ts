// The story of `bench -- admission`: what `kubectl apply` waits for, with a big cluster behind the API server, how soon the
// door is open, and what the process keeps.
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type KeyPair, makeSelfSigned } from '../../api/wire/certificates.ts';
import type { Cleanup } from '../demo/cleanup.ts';
import { type KubeApi, startKubeApi } from '../kube-api.ts';
import { type OperatorProcess, startOperatorProcess } from '../operator/process.ts';
import { instancePod } from '../operator-objects.ts';
import type { AdmissionOptions } from './admission-options.ts';
import { fillCluster } from './hooks-cluster.ts';
import { peakMiB, residentMiB } from './process-figures.ts';
import { quantile } from './quantile.ts';
import type { Report } from './report.ts';

const GOAL_REVIEW = { value: { atMost: 5 } };
const GOAL_START = { value: { atMost: 2 } };
const GOAL_MIB = { value: { atMost: 160 } };
/** The API server keeps few connections to a webhook, and one for every review that waits. */
const CONNECTIONS = 16;
const DAY_MS = 24 * 3600_000;

type Door = { url: string; ca: string; agent: Agent };
type Review = { kind: string; path: string; body: string };

/** Measures; what is started is in `cleanup`. */
export async function benchAdmission(options: AdmissionOptions, report: Report, cleanup: Cleanup): Promise<void> {
  const { clusters, stores, namespaces, reviewsPerSecond, seconds } = options;
  const kubeApi = await startKubeApi();
  cleanup.add(() => kubeApi.stop());
  report.say(`cluster    ${clusters} Clusters, ${stores} ObjectStores, ${namespaces} namespaces`);
  fillCluster(kubeApi, { ...options, callsPerSecond: 0, repeats: 0 });
  const tls = await makeTls(cleanup);

  const startSeconds: number[] = [];
  let started = await startReady(kubeApi, tls, cleanup);
  for (let run = 0; run < options.starts; run += 1) {
    await started.operator.stop();
    started = await startReady(kubeApi, tls, cleanup);
    startSeconds.push(started.seconds);
  }
  const { operator, door } = started;
  cleanup.add(() => operator.stop());
  cleanup.add(async () => door.agent.destroy());
  report.say(`reviews    ${reviewsPerSecond} a second for ${seconds} s over at most ${CONNECTIONS} connections, TLS\n`);

  const timesMs = await sendSteadily(door, reviewsOf(kubeApi), options);
  for (const [kind, times] of timesMs) {
    report.add({ name: `review of a ${kind}, p50`, value: quantile(times, 0.5), unit: 'ms' });
    report.add({ name: `review of a ${kind}, p99`, value: quantile(times, 0.99), unit: 'ms', goal: GOAL_REVIEW });
  }
  const median = quantile(startSeconds, 0.5);
  const note = 'from the command line to /readyz: all Clusters and ObjectStores are cached';
  report.add({ name: 'operator process, start to ready', value: median, unit: 's', goal: GOAL_START, note });
  report.add({ name: 'operator process, resident', value: residentMiB(operator.pid), unit: 'MiB', goal: GOAL_MIB });
  report.add({ name: 'operator process, peak', value: peakMiB(operator.pid), unit: 'MiB' });
}

type Tls = { pair: KeyPair; flags: string[] };

async function makeTls(cleanup: Cleanup): Promise<Tls> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-bench-'));
  cleanup.add(() => rm(folder, { recursive: true, force: true }));
  const names = { commonName: 'cellar-webhook', ipAddresses: ['127.0.0.1'] };
  const pair = await makeSelfSigned({ ...names, usages: ['server'], validMs: DAY_MS });
  const files = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') };
  await writeFile(files.cert, pair.cert);
  await writeFile(files.key, pair.key, { mode: 0o600 });
  const address = ['--webhook-address=127.0.0.1:0', '--shutdown-delay=0'];
  return { pair, flags: [...address, `--webhook-cert=${files.cert}`, `--webhook-key=${files.key}`] };
}

async function startReady(
  kubeApi: KubeApi,
  { pair, flags }: Tls,
  cleanup: Cleanup,
): Promise<{ operator: OperatorProcess; door: Door; seconds: number }> {
  const startedAt = performance.now();
  const operator = await startOperatorProcess({ kubeApi, flags });
  const listens = operator.lines().find(({ msg }) => msg === 'admission webhook listens');
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  cleanup.add(async () => agent.destroy());
  const door = { url: String(listens?.url), ca: pair.cert, agent };
  while ((await ask(door, '/readyz')).status !== 200) await delay(5);
  return { operator, door, seconds: (performance.now() - startedAt) / 1000 };
}

/** Of every Cluster and ObjectStore an update that changes a label, and the creation of an instance Pod. */
function reviewsOf({ objects }: KubeApi): Review[] {
  const kinds = [
    ['Cluster', 'postgresql.cnpg.io', 'clusters'],
    ['ObjectStore', 'barmancloud.cnpg.io', 'objectstores'],
  ] as const;
  const updates = kinds.map(([kind, group, plural]) => {
    const resource = { group, version: 'v1', plural, kind, status: true };
    return objects.list(resource, undefined).items.map((old): Review => {
      const object = { ...old, metadata: { ...old.metadata, labels: { ...old.metadata.labels, touched: 'yes' } } };
      return { kind, path: `/validate/${plural}`, body: bodyOf(kind, group, 'UPDATE', { object, oldObject: old }) };
    });
  });
  const [clusters = [], stores = []] = updates;
  const pods = clusters.map(({ body }): Review => {
    const cluster = JSON.parse(body).request.oldObject;
    const pod = instancePod(cluster, { serial: 1, major: 18 });
    const owner = { apiVersion: 'postgresql.cnpg.io/v1', kind: 'Cluster', controller: true };
    const { name, uid, namespace } = cluster.metadata;
    const metadata = { ...pod.metadata, namespace, ownerReferences: [{ ...owner, name, uid }] };
    return { kind: 'Pod', path: '/mutate/pods', body: bodyOf('Pod', '', 'CREATE', { object: { ...pod, metadata } }) };
  });
  // Stores are few: each comes as often as a Cluster.
  return clusters.flatMap((cluster, index) => [
    cluster,
    stores[index % stores.length] ?? cluster,
    pods[index] ?? cluster,
  ]);
}

type Reviewed = { object: { metadata?: object }; oldObject?: unknown };

function bodyOf(kind: string, group: string, operation: string, reviewed: Reviewed): string {
  const { namespace, name } = reviewed.object.metadata as { namespace: string; name: string };
  const asked = { uid: 'bench', kind: { group, version: 'v1', kind }, operation, namespace, name, ...reviewed };
  return JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: asked });
}

/** Sends at fixed times, whether or not those before have been answered. Milliseconds by kind. */
async function sendSteadily(
  door: Door,
  reviews: readonly Review[],
  { reviewsPerSecond, seconds }: AdmissionOptions,
): Promise<Map<string, number[]>> {
  const timesMs = new Map<string, number[]>();
  const warmUp = reviewsPerSecond * 2;
  const startedAt = performance.now();
  const running: Promise<void>[] = [];
  for (let index = 0; index < warmUp + reviewsPerSecond * seconds; index += 1) {
    await delay(Math.max(0, startedAt + (index * 1000) / reviewsPerSecond - performance.now()));
    const review = reviews[index % reviews.length];
    if (review === undefined) throw new Error('there is nothing to review');
    const sent = send(door, review).then((ms) => {
      if (index < warmUp) return;
      timesMs.set(review.kind, [...(timesMs.get(review.kind) ?? []), ms]);
    });
    // It is looked at when all have been sent.
    sent.catch(() => undefined);
    running.push(sent);
  }
  await Promise.all(running);
  return timesMs;
}

async function send(door: Door, { kind, path, body }: Review): Promise<number> {
  const startedAt = performance.now();
  const { status, text } = await ask(door, path, body);
  const ms = performance.now() - startedAt;
  const { allowed, patch } = JSON.parse(text).response;
  if (status !== 200 || !allowed) throw new Error(`${path} answered ${status}: ${text.slice(0, 300)}`);
  if (kind === 'Pod' && patch === undefined) throw new Error(`a Pod was not injected: ${text.slice(0, 300)}`);
  return ms;
}

async function ask({ url, ca, agent }: Door, path: string, body?: string): Promise<{ status: number; text: string }> {
  const length = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body ?? '') };
  const sent = request(`${url}${path}`, {
    ...{ ca, agent, method: body === undefined ? 'GET' : 'POST' },
    headers: body === undefined ? {} : length,
  });
  sent.end(body);
  const [response] = await once(sent, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, text: Buffer.concat(chunks).toString() };
}
