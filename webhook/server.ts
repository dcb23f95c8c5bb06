// The HTTPS door of admission: routes, limits, health. What is judged, and how, is told by
// objectstores.ts, clusters.ts and workloads.ts.
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import { InvalidInputError, messageOf } from '../api/errors.ts';
import type { Log } from '../api/wire/log.ts';
import type { StoreReads } from '../injector/reads.ts';
import { judgeCluster } from './clusters.ts';
import { type Counters, createCounters } from './counters.ts';
import type { Judgement } from './judge.ts';
import { judgeObjectStore } from './objectstores.ts';
import { type AdmissionAnswer, answerReview, type Review, readReview, type Verdict } from './review.ts';
import { injectWorkload } from './workloads.ts';

export type WebhookOptions = {
  host: string;
  /** 0 takes any free port. */
  port: number;
  /** PEM. */
  tls: { key: string; cert: string };
  /** Reads of the operator, through its cache. */
  stores: StoreReads;
  settings: { sidecarImage: string };
  log: Log;
};

export type Webhook = {
  url: string;
  /** Counters in the text format of Prometheus. */
  metrics(): string;
  /** Takes no new connection, answers what has arrived, and closes; after 5 s the rest is cut off. */
  stop(): Promise<void>;
};

/** The API server sends no object above 1.5 MiB or so, and two of them in an update. */
const BODY_LIMIT_BYTES = 3 * 1024 * 1024;
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
/** Longer than the API server keeps its own idle connections busy between two requests. */
const KEEP_ALIVE_MS = 90_000;
/** Below the `timeoutSeconds: 5` of the webhook configuration. */
const LOOK_UP_LIMIT_MS = 3_000;
const STOP_GRACE_MS = 5_000;

/** Starts it; throws what Node throws when the address is taken or the certificate is none. */
export async function startWebhook(options: WebhookOptions): Promise<Webhook> {
  const counters = createCounters();
  const app = createServer(options);
  addRoutes(app, options, counters);
  const url = await app.listen({ host: options.host, port: options.port });
  return { url, metrics: () => counters.text(), stop: () => stop(app) };
}

function createServer({ tls }: WebhookOptions) {
  return Fastify({
    https: { ...tls, minVersion: 'TLSv1.2', headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: 1_000 },
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    // Connections that are open when we stop are answered as before, and closed after it.
    return503OnClosing: false,
    // Any JSON is a document to judge; nothing is ever merged into an object of ours.
    onProtoPoisoning: 'ignore',
    onConstructorPoisoning: 'ignore',
  });
}

type Server = ReturnType<typeof createServer>;

function addRoutes(app: Server, options: WebhookOptions, counters: Counters): void {
  const judging = (kind: 'ObjectStore' | 'Cluster', judge: (review: Review) => Judgement) => {
    return async (review: Review): Promise<Verdict> => {
      const { verdict, outcome, rules } = judge(review);
      const { namespace, name, operation } = review;
      counters.add('cellar_admission_requests_total', { kind, operation: knownOperation(operation), outcome });
      for (const rule of rules) counters.add('cellar_admission_findings_total', { rule });
      const level = outcome === 'refused' ? 'info' : 'debug';
      options.log[level]({ kind, namespace, name, operation, outcome, rules }, 'judged');
      return verdict;
    };
  };
  const mutate = async (review: Review): Promise<Verdict> => {
    const { stores: reads, settings, log } = options;
    const { verdict, outcome, code, sentence } = await injectWorkload(review, {
      reads,
      settings,
      lookUpLimitMs: LOOK_UP_LIMIT_MS,
    });
    const { namespace, name, kind } = review;
    counters.add('cellar_injections_total', { door: 'admission', outcome, code });
    log[outcome === 'failed' ? 'warn' : 'debug'](
      { namespace, name, kind, outcome, code, sentence },
      'workload admitted',
    );
    return verdict;
  };
  const objectStores = answering(judging('ObjectStore', judgeObjectStore), options.log);
  app.post('/validate/objectstores', objectStores);
  app.post('/judge/objectstores', objectStores);
  app.post('/validate/clusters', answering(judging('Cluster', judgeCluster), options.log));
  app.post('/mutate/pods', answering(mutate, options.log));
  app.post('/mutate/jobs', answering(mutate, options.log));
  app.get('/healthz', async () => 'ok\n');
  app.get('/readyz', async () => 'ok\n');
}

/** Labels of counters never come from outside. */
function knownOperation(operation: string): string {
  return ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'].find((known) => known === operation) ?? 'other';
}

/**
 * Unpacks, asks, packs. What is no review is answered with 400. A fault of ours admits with a warning, for the API server
 * and the plugin's own checks come after us.
 */
function answering(ask: (review: Review) => Promise<Verdict>, log: Log) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<AdmissionAnswer | { error: string }> => {
    let review: Review;
    try {
      review = readReview(request.body);
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      log.warn({ url: request.url, error: error.message }, 'not an AdmissionReview');
      return reply.code(400).send({ error: error.message });
    }
    try {
      return answerReview(review, await ask(review));
    } catch (error) {
      log.error({ url: request.url, uid: review.uid, err: error }, 'admission failed');
      const warnings = [`admitted unseen by the backup plugin, which failed: ${messageOf(error)}`];
      return answerReview(review, { allowed: true, warnings });
    }
  };
}

async function stop(app: Server): Promise<void> {
  const timer = setTimeout(() => app.server.closeAllConnections(), STOP_GRACE_MS);
  try {
    await app.close();
  } finally {
    clearTimeout(timer);
  }
}
