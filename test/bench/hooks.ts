// The story of `bench -- hooks`: what the operator waits for, with a big cluster behind the API server, and what the manager
// waits for at every WAL file (cnpg-i-contract.md §2.3, §5.1).
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster, Pod } from '../../api/kube.ts';
import {
  OperatorLifecycleService,
  OperatorOperationType_Type as Verb,
} from '../../api/proto/gen/operator_lifecycle.ts';
import { ReconcilerHooksResult_Behavior as Behavior, ReconcilerHooksService } from '../../api/proto/gen/reconciler.ts';
import type { Cleanup } from '../demo/cleanup.ts';
import type { PluginConnection } from '../handshake.ts';
import { startKubeApi } from '../kube-api.ts';
import { discover } from '../operator/discovery.ts';
import { createPool } from '../operator/pool.ts';
import { OPERATOR_NAMESPACE, startOperatorProcess } from '../operator/process.ts';
import { instancePod } from '../operator-objects.ts';
import { type BigCluster, fillCluster } from './hooks-cluster.ts';
import { measureInstance } from './hooks-instance.ts';
import type { HooksOptions } from './hooks-options.ts';
import { cpuSeconds, peakMiB, residentMiB } from './process-figures.ts';
import { quantile } from './quantile.ts';
import type { Report } from './report.ts';

const GOAL_MS = { value: { atMost: 5 } };
const GOAL_OPERATOR_MIB = { value: { atMost: 160 } };
/** As many as the operator opens. */
const CONNECTIONS = 5;

/** Measures; what is started is in `cleanup`. */
export async function benchHooks(options: HooksOptions, report: Report, cleanup: Cleanup): Promise<void> {
  const kubeApi = await startKubeApi();
  cleanup.add(() => kubeApi.stop());
  const { clusters, stores, namespaces, callsPerSecond, seconds } = options;
  report.say(
    `cluster    ${clusters} Clusters, ${stores} ObjectStores, ${namespaces} namespaces; their Roles are there`,
  );
  const filled = fillCluster(kubeApi, options);

  const operator = await startOperatorProcess({ kubeApi });
  cleanup.add(() => operator.stop());
  await controllerIsDone(kubeApi.requests, stores);
  const [plugin] = discover(operator.deployed, OPERATOR_NAMESPACE).plugins.values();
  if (plugin === undefined) throw new Error('the operator process was not discovered');
  const pool = createPool(plugin, () => operator.address);
  cleanup.add(async () => pool.close());
  const lent = await Promise.all(Array.from({ length: CONNECTIONS }, () => pool.take()));
  const connections = lent.map(({ connection }) => connection);

  report.say(`calls      ${callsPerSecond} a second for ${seconds} s over ${CONNECTIONS} connections, TLS 1.3\n`);
  const written = kubeApi.requests.length;
  const cpuBefore = cpuSeconds(operator.pid);
  const { hookMs, preMs } = await callSteadily(connections, filled, options);
  // The first second's calls were made too.
  const cpuMs = ((cpuSeconds(operator.pid) - cpuBefore) * 1000) / (callsPerSecond * (seconds + 1));
  refuseWrites(kubeApi.requests.slice(written));
  for (const [name, times] of [
    ['LifecycleHook', hookMs],
    ['Pre, nothing to change', preMs],
  ] as const) {
    report.add({ name: `${name}, p50`, value: quantile(times, 0.5), unit: 'ms' });
    report.add({ name: `${name}, p99`, value: quantile(times, 0.99), unit: 'ms', goal: GOAL_MS });
  }
  report.add({
    name: 'operator process, resident',
    value: residentMiB(operator.pid),
    unit: 'MiB',
    goal: GOAL_OPERATOR_MIB,
  });
  report.add({ name: 'operator process, CPU for a call', value: cpuMs, unit: 'ms' });
  report.add({ name: 'operator process, peak', value: peakMiB(operator.pid), unit: 'MiB' });

  await measureInstance(options, report, kubeApi, cleanup);
}

/** After the start the controller lists the Roles around every store, once: until then it is at work. */
async function controllerIsDone(requests: readonly string[], stores: number): Promise<void> {
  const listed = () => requests.filter((line) => line.includes('/roles?')).length;
  while (listed() < stores) await delay(500);
  await delay(1000);
}

/** Calls at fixed times, whether or not those before have been answered; every other one is a Pre. */
async function callSteadily(
  connections: readonly PluginConnection[],
  { clusters }: BigCluster,
  { callsPerSecond, seconds }: HooksOptions,
): Promise<{ hookMs: number[]; preMs: number[] }> {
  const hookMs: number[] = [];
  const preMs: number[] = [];
  const warmUp = callsPerSecond;
  const started = performance.now();
  const running: Promise<void>[] = [];
  for (let index = 0; index < warmUp + callsPerSecond * seconds; index += 1) {
    const due = started + (index * 1000) / callsPerSecond;
    await delay(Math.max(0, due - performance.now()));
    const connection = connections[index % connections.length];
    // Strides that visit all of them, far from each other.
    const cluster = clusters[(index * 7919) % clusters.length];
    if (connection === undefined || cluster === undefined) continue;
    const isPre = index % 2 === 0;
    const call = isPre ? callPre(connection, cluster) : callHook(connection, cluster);
    const done = call.then((ms) => {
      if (index >= warmUp) (isPre ? preMs : hookMs).push(ms);
    });
    // It is looked at when all calls have been made.
    done.catch(() => undefined);
    running.push(done);
  }
  await Promise.all(running);
  return { hookMs, preMs };
}

async function callPre(connection: PluginConnection, cluster: Cluster): Promise<number> {
  const document = encode(cluster);
  const request = { clusterDefinition: document, resourceDefinition: document };
  const started = performance.now();
  const { behavior } = await connection.call(ReconcilerHooksService.pre, request);
  const ms = performance.now() - started;
  if (behavior !== Behavior.BEHAVIOR_CONTINUE) throw new Error(`Pre of ${cluster.metadata.name} answered ${behavior}`);
  return ms;
}

async function callHook(connection: PluginConnection, cluster: Cluster): Promise<number> {
  const request = {
    operationType: { type: Verb.TYPE_EVALUATE },
    clusterDefinition: encode(cluster),
    objectDefinition: encode(instancePod(cluster, { serial: 1, major: 18 })),
  };
  const started = performance.now();
  const { jsonPatch } = await connection.call(OperatorLifecycleService.lifecycleHook, request);
  const ms = performance.now() - started;
  if (jsonPatch.length === 0) throw new Error(`the Pod of ${cluster.metadata.name} was not injected`);
  return ms;
}

/** A Pre that writes measures something else. */
function refuseWrites(requests: readonly string[]): void {
  const written = requests.find((line) => !line.startsWith('GET ') && !isLease(line));
  if (written !== undefined) throw new Error(`there was something to change: ${written}`);
}

/** The leader renews it all the time. */
function isLease(request: string): boolean {
  return request.includes('/leases');
}

function encode(document: Cluster | Pod): Buffer {
  return Buffer.from(JSON.stringify(document));
}
