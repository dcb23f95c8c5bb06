// Composition root of the operator process: the CNPG-I door, and the admission door when it is asked for.
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CNPG_GROUP, CNPG_VERSION } from '../api/names.ts';
import { watchExpiry } from '../api/wire/certificate-expiry.ts';
import { type CertificateSource, followFiles } from '../api/wire/certificate-source.ts';
import { type Environment, PORT_LIMITS, readSettings } from '../api/wire/env.ts';
import { createEventWriter } from '../api/wire/events.ts';
import { healthService, startGrpcServer } from '../api/wire/grpc.ts';
import { createLogFromFlags, type Log } from '../api/wire/log.ts';
import { openKeptCredentials, openPinnedCredentials } from '../api/wire/pinned-credentials.ts';
import type { Running } from '../api/wire/process.ts';
import release from '../package.json' with { type: 'json' };
import type { Webhook, WebhookOptions } from '../webhook/server.ts';
import { type OperatorFlags, readOperatorFlags } from './flags.ts';
import { startHealthServer } from './health.ts';
import { identityService } from './identity.ts';
import { lifecycleService } from './lifecycle.ts';
import { liveLookUps } from './look-ups.ts';
import { withAskedLookUps } from './look-ups-asked.ts';
import { cacheReads, liveReads } from './reads.ts';
import { reconcilerService } from './reconciler.ts';
import { createVitals, type Vitals } from './vitals.ts';

/** The operator gives every call 30 s (cnpg-i-contract.md §2.2). */
const STOP_GRACE_MS = 30_000;

/**
 * Starts the operator process; every door is open when the promise resolves. Throws InvalidInputError naming the flag,
 * the variable or the file that is missing or malformed, before anything listens. The API server may be out of reach: hooks ask
 * for themselves what is not known yet; only self-made certificates wait for it.
 */
export async function runOperator(args: readonly string[], env: Environment): Promise<Running> {
  const flags = readOperatorFlags(args);
  const log = createLogFromFlags(flags.log, 'operator');
  const settings = readOperatorSettings(env);
  const { mode } = flags.certificates;
  const files = mode === 'files' ? await followFiles(flags.certificates.files, { log }) : undefined;
  if (flags.ignored.length > 0) log.info({ flags: flags.ignored }, 'flags without effect');

  const vitals = createVitals();
  const open: Running[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(open.map((part) => part.stop()));
  };
  let webhook: Webhook | undefined;
  try {
    // First: whoever watches us learns why we are not ready yet.
    if (flags.health) open.push(await startHealthServer(flags.health, { vitals, log }));
    webhook = await openDoors({ flags, settings, files, vitals, open, log });
  } catch (error) {
    await stop();
    throw error;
  }
  vitals.phase = 'serving';
  log.info({ version: release.version, sidecarImage: settings.injection.sidecarImage }, 'operator process started');
  return {
    async stop() {
      vitals.phase = 'stopping';
      if (webhook !== undefined) {
        // The API server goes on sending until it has learnt that this Pod is no endpoint any more.
        webhook.drain();
        await delay(flags.shutdownDelayMs);
      }
      await stop();
    },
  };
}

type Parts = {
  flags: OperatorFlags;
  settings: ReturnType<typeof readOperatorSettings>;
  /** Undefined: certificates are self-made. */
  files: CertificateSource | undefined;
  vitals: Vitals;
  /** Whatever is opened is added here, for the end. */
  open: Running[];
  log: Log;
};

async function openDoors({ flags, settings, files, vitals, open, log }: Parts): Promise<Webhook | undefined> {
  // The generated client takes a second to load: complaints about flags and files come before.
  const { createOperatorKube } = await import('./kube.ts');
  const { followObjects } = await import('./follow.ts');
  const ownNamespace = await readOwnNamespace(settings.kube.serviceAccountFolder);
  const kube = createOperatorKube(settings.kube);
  const certificates = files ?? (await selfMade(flags, settings, ownNamespace, log));
  open.push(certificates);
  const expiry = watchExpiry(certificates, { log });
  open.push(expiry);
  const live = await followObjects(kube, log);
  open.push(live);
  vitals.counted.push(expiry.metrics);
  vitals.checks.push(expiry.problem, () => {
    return live.stores.isSettled() && live.clusters.isSettled()
      ? undefined
      : 'ObjectStores and Clusters are not all known yet';
  });

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
  const credentials = await credentialsOf(flags, certificates, log);
  const door = await startGrpcServer({ services, address: flags.server, credentials, log });
  open.push({ stop: () => door.stop(STOP_GRACE_MS) });
  const lookUps = withAskedLookUps(liveLookUps(live), { port: kube.lookUps, secrets: flags.lookUpSecrets, log });
  const webhook =
    flags.webhook &&
    (await openWebhook(certificates, {
      ...{ ...flags.webhook, stores: reads, lookUps, settings: injection, log },
      ...{ strictReferences: flags.strictReferences, notReady: vitals.notReady, otherMetrics: expiry.metrics },
    }));
  if (webhook !== undefined) {
    open.push(webhook);
    vitals.counted.push(webhook.metrics);
  }
  open.push(live.control({ elect: flags.elect, namespace: ownNamespace, log }));
  return webhook;
}

async function selfMade(
  { certificates, webhook }: OperatorFlags,
  { kube }: Parts['settings'],
  ownNamespace: string | undefined,
  log: Log,
): Promise<CertificateSource> {
  if (certificates.mode !== 'self-made') throw new Error('certificates are in files');
  const { keepCertificates } = await import('./certificates.ts');
  const { certificatePort } = await import('./kube-certificates.ts');
  const { kubeAccess } = await import('./kube-config.ts');
  const port = certificatePort(kubeAccess(kube));
  return keepCertificates({ port, flags: certificates, ownNamespace, withWebhook: webhook !== undefined, log });
}

/** Files are looked at in every handshake: the Go plugin does so, too. */
function credentialsOf({ certificates }: OperatorFlags, source: CertificateSource, log: Log) {
  if (certificates.mode === 'files') return openPinnedCredentials(certificates.files.plugin, log);
  return openKeptCredentials(() => source.current().plugin, log);
}

async function openWebhook(certificates: CertificateSource, options: Omit<WebhookOptions, 'tls'>): Promise<Webhook> {
  // Loaded only when it is opened: installations without it save the memory.
  const { startWebhook } = await import('../webhook/server.ts');
  const tls = certificates.current().webhook;
  if (tls === undefined) throw new Error('the admission door has no certificate');
  const webhook = await startWebhook({ ...options, tls });
  certificates.onChange((set) => set.webhook && webhook.renew(set.webhook));
  options.log.info({ url: webhook.url }, 'admission webhook listens');
  return webhook;
}

/** Where the lease and our Secrets are; undefined outside of a cluster. */
async function readOwnNamespace(serviceAccountFolder: string): Promise<string | undefined> {
  try {
    return (await readFile(join(serviceAccountFolder, 'namespace'), 'utf8')).trim() || undefined;
  } catch {
    return undefined;
  }
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
