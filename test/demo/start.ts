// Step 1: PostgreSQL, an object store, the API server that stands in for Kubernetes, and our operator process.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cluster } from '../../api/kube.ts';
import { EMPTY_ARCHIVE_MARKER } from '../../api/names.ts';
import { startKubeApi } from '../kube-api.ts';
import { createKubelet, localPod } from '../kubelet.ts';
import { fixedSettings, write, writeConfiguration } from '../manager/configuration.ts';
import { instancePod } from '../operator-objects.ts';
import { findPostgres, initDatabase, startPostgres } from '../postgres.ts';
import { unprivilegedAccount } from '../unprivileged.ts';
import type { Cleanup } from './cleanup.ts';
import { startOperator } from './operator.ts';
import type { DemoOptions } from './options.ts';
import { CONTROLLER, type Instance, NAMESPACE, type Parts, PGDATA, pathIn, SOCKET_FOLDER } from './parts.ts';
import { startPlace } from './place.ts';
import type { Step } from './report.ts';

/** Starts the parts; what was started is in `cleanup` even when a later one fails. */
export async function startParts(
  step: Step,
  options: DemoOptions,
  place: { folder: string; logFolder: string; cleanup: Cleanup },
): Promise<Parts> {
  const { folder, logFolder, cleanup } = place;
  const account = unprivilegedAccount();
  await account.own(folder);
  const programs = await findPostgres(account, folder, options.postgresMajor);

  const kubeApi = await startKubeApi({ namespace: NAMESPACE });
  cleanup.add(() => kubeApi.stop());
  const store = await startPlace(options, folder, cleanup);
  step.say(`object store   ${store.endpoint} (${store.name}), buckets ${store.bucket} and ${store.bucketBis}`);

  const operatorFolder = join(folder, 'operator');
  await mkdir(operatorFolder);
  const logFile = join(logFolder, 'operator.log');
  const started = await startOperator({ folder: operatorFolder, logFile, account, kubeApi });
  cleanup.add(() => started.process.stop());
  cleanup.add(async () => started.operator.close());
  const { metadata } = started.operator.connection;
  step.say(
    `our operator   ${metadata.name} ${metadata.version}: CNPG-I on ${started.address} (mutual TLS 1.3), webhook on ${started.webhook.url}`,
  );
  for (const phase of ['mutating', 'validating'] as const) {
    kubeApi.addDoor({
      name: phase === 'mutating' ? 'judge.objectstores.barmancloud.cnpg.io' : 'objectstores.barmancloud.cnpg.io',
      kind: 'ObjectStore',
      phase,
      ...started.webhook,
      url: `${started.webhook.url}/${phase === 'mutating' ? 'judge' : 'validate'}/objectstores`,
    });
  }
  kubeApi.addDoor({
    name: 'clusters.barmancloud.cnpg.io',
    kind: 'Cluster',
    phase: 'validating',
    ...started.webhook,
    url: `${started.webhook.url}/validate/clusters`,
  });
  return {
    folder,
    logFolder,
    account,
    programs,
    kubeApi,
    kubelet: createKubelet({ folder, logFolder, account, kubeApi }),
    operator: started.operator,
    operatorProcess: started.process,
    webhookUrl: started.webhook.url,
    operatorAddress: started.address,
    store,
    buckets: store.buckets,
    cleanup,
  };
}

/** Makes the first instance's database where its Pod will look for it, and starts it. Nothing is archived yet. */
export async function startDatabase(step: Step, parts: Parts, cluster: Cluster): Promise<Instance> {
  const { programs, account } = parts;
  const pod = localPod(instancePod(cluster, { serial: 1, major: programs.major }));
  await parts.kubelet.prepare(pod);
  const pgdata = pathIn(parts, pod, PGDATA);
  const logFile = join(parts.logFolder, `${pod.name}.postgres.log`);
  await initDatabase({ programs, account, pgdata, logFile });
  await writeConfiguration(pgdata, account, fixedSettings(''));
  await write(pgdata, account, EMPTY_ARCHIVE_MARKER, '');
  const socketFolder = pathIn(parts, pod, SOCKET_FOLDER);
  const postgres = await startPostgres({ programs, account, pgdata, socketFolder, logFile });
  parts.cleanup.add(() => postgres.stop('immediate'));
  const [row] = await postgres.query<{ version: string }>(`select current_setting('server_version') as version`);
  const user = account.name === undefined ? '' : `, run by ${account.name}`;
  step.say(`PostgreSQL     ${row?.version} on the socket in ${socketFolder}${user}`);
  return { pod, pgdata, controllerFolder: pathIn(parts, pod, CONTROLLER), postgres };
}
