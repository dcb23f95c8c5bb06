// Composition root of the operator process: the CNPG-I door, and the admission door when it is asked for.
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { InvalidInputError, messageOf } from '../api/errors.ts';
import { CNPG_GROUP, CNPG_VERSION } from '../api/names.ts';
import { type Environment, PORT_LIMITS, readSettings } from '../api/wire/env.ts';
import { createEventWriter } from '../api/wire/events.ts';
import { healthService, startGrpcServer } from '../api/wire/grpc.ts';
import { createLogFromFlags, type Log } from '../api/wire/log.ts';
import { openPinnedCredentials } from '../api/wire/pinned-credentials.ts';
import type { Running } from '../api/wire/process.ts';
import release from '../package.json' with { type: 'json' };
import { type OperatorFlags, readOperatorFlags } from './flags.ts';
import { startHealthServer } from './health.ts';
import { identityService } from './identity.ts';
import type { InjectionSettings } from './inject.ts';
import { lifecycleService } from './lifecycle.ts';
import { cacheReads, liveReads, type StoreReads } from './reads.ts';
import { reconcilerService } from './reconciler.ts';

/** The operator gives every call 30 s (cnpg-i-contract.md §2.2). */
const STOP_GRACE_MS = 30_000;

/**
 * Starts the operator process; every door is open when the promise resolves. Throws InvalidInputError naming the flag,
 * the variable or the file that is missing or malformed, before anything listens. The API server may be out of reach: hooks ask
 * for themselves what is not known yet.
 */
export async function runOperator(args: readonly string[], env: Environment): Promise<Running> {
  const flags = readOperatorFlags(args);
  const log = createLogFromFlags(flags.log, 'operator');
  const settings = readOperatorSettings(env);
  const credentials = await openPinnedCredentials(flags.tls, log);
  const webhookTls = flags.webhook && (await readKeyPair(flags.webhook));
  if (flags.ignored.length > 0) log.info({ flags: flags.ignored }, 'flags without effect');

  // The generated client takes a second to load: complaints about flags and files come before.
  const { createOperatorKube } = await import('./kube.ts');
  const { followObjects } = await import('./follow.ts');
  const kube = createOperatorKube(settings.kube);
  const live = await followObjects(kube, log);
  const reads = liveReads(live, cacheReads(kube));
  const events = createEventWriter({ port: kube.events, instance: hostname(), log });
  const { injection } = settings;
  const { version } = release;
  const services = [
    identityService({ version, log }),
    lifecycleService({ reads, settings: injection, log }),
    reconcilerService({ reads, access: kube, events, version, log }),
    healthService(),
  ];

  const open: Running[] = [live];
  const stop = async (): Promise<void> => {
    await Promise.all(open.map((door) => door.stop()));
  };
  try {
    const door = await startGrpcServer({ services, address: flags.server, credentials, log });
    open.push({ stop: () => door.stop(STOP_GRACE_MS) });
    if (flags.webhook && webhookTls) open.push(await openWebhook(flags.webhook, webhookTls, reads, injection, log));
    open.push(
      live.control({ elect: flags.elect, namespace: await ownNamespace(settings.kube.serviceAccountFolder), log }),
    );
    // Last: who is told that we are ready finds all doors open.
    if (flags.health) open.push(await startHealthServer(flags.health, log));
  } catch (error) {
    await stop();
    throw error;
  }
  log.info({ version, sidecarImage: injection.sidecarImage }, 'operator process started');
  return { stop };
}

/** Where the lease is; undefined outside of a cluster. */
async function ownNamespace(serviceAccountFolder: string): Promise<string | undefined> {
  try {
    return (await readFile(join(serviceAccountFolder, 'namespace'), 'utf8')).trim() || undefined;
  } catch {
    return undefined;
  }
}

async function openWebhook(
  address: NonNullable<OperatorFlags['webhook']>,
  tls: { key: string; cert: string },
  stores: StoreReads,
  settings: InjectionSettings,
  log: Log,
): Promise<Running> {
  // Loaded only when it is opened: installations without it save the memory.
  const { startWebhook } = await import('../webhook/server.ts');
  const webhook = await startWebhook({ host: address.host, port: address.port, tls, stores, settings, log });
  log.info({ url: webhook.url }, 'admission webhook listens');
  return webhook;
}

function readOperatorSettings(env: Environment) {
  const settings = readSettings(env);
  return {
    injection: { sidecarImage: settings.required('SIDECAR_IMAGE') },
    kube: {
      kubeconfig: env.KUBECONFIG || undefined,
      host: settings.optional('KUBERNETES_SERVICE_HOST', 'kubernetes.default.svc'),
      port: settings.integer('KUBERNETES_SERVICE_PORT', 443, PORT_LIMITS),
      serviceAccountFolder: settings.optional(
        'CELLAR_SERVICE_ACCOUNT_FOLDER',
        '/var/run/secrets/kubernetes.io/serviceaccount',
      ),
      cnpgGroup: settings.optional('CUSTOM_CNPG_GROUP', CNPG_GROUP),
      cnpgVersion: settings.optional('CUSTOM_CNPG_VERSION', CNPG_VERSION),
    },
  };
}

async function readKeyPair(files: { cert: string; key: string }): Promise<{ key: string; cert: string }> {
  const [key, cert] = await Promise.all([readPem('--webhook-key', files.key), readPem('--webhook-cert', files.cert)]);
  return { key, cert };
}

async function readPem(flag: string, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new InvalidInputError(flag, file, `cannot be read: ${messageOf(error)}`, { cause: error });
  }
}
