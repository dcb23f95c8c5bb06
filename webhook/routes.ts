// What is asked where: each path of the door, who judges there, and how the outcome is counted and logged. Neither counters
// nor logs ever hold what an object contains.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { InvalidInputError, messageOf } from '../api/errors.ts';
import type { JudgedKind } from '../api/judged-kinds.ts';
import type { Log } from '../api/wire/log.ts';
import type { StoreReads } from '../injector/reads.ts';
import type { Counters } from './counters.ts';
import { judgeKind } from './judge-kind.ts';
import type { LookUps } from './look-ups.ts';
import { type AdmissionAnswer, answerReview, type Review, readReview, type Verdict } from './review.ts';
import { injectWorkload } from './workloads.ts';

export type RouteOptions = {
  /** Reads of the operator, through its cache. */
  stores: StoreReads;
  /** What judges may ask about other objects. */
  lookUps: LookUps;
  strictReferences: boolean;
  settings: { sidecarImage: string };
  log: Log;
};

/** Kinds as metrics call them. */
type RouteKind = JudgedKind | 'Pod' | 'Job';

/** What is told of a verdict besides the verdict. */
type Told = { verdict: Verdict; outcome: string; facts: object; level: 'debug' | 'info' | 'warn' };

/** Below the `timeoutSeconds: 5` of the webhook configuration. */
const LOOK_UP_LIMIT_MS = 3_000;

const REQUESTS = 'cellar_admission_requests_total';
const FINDINGS = 'cellar_admission_findings_total';
const SECONDS = 'cellar_admission_seconds';

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<AdmissionAnswer | { error: string }>;

/** Adds the paths of all kinds. */
export function addRoutes(
  app: { post(path: string, handler: Handler): unknown },
  options: RouteOptions,
  counters: Counters,
): void {
  const judges: Record<string, JudgedKind> = {
    '/judge/objectstores': 'ObjectStore',
    '/validate/objectstores': 'ObjectStore',
    '/validate/clusters': 'Cluster',
    '/validate/backups': 'Backup',
    '/validate/scheduledbackups': 'ScheduledBackup',
  };
  for (const [path, kind] of Object.entries(judges)) {
    app.post(
      path,
      answering(kind, (review) => judged(kind, review, options, counters), options.log, counters),
    );
  }
  const workloads: Record<string, 'Pod' | 'Job'> = { '/mutate/pods': 'Pod', '/mutate/jobs': 'Job' };
  for (const [path, kind] of Object.entries(workloads)) {
    app.post(
      path,
      answering(kind, (review) => injected(review, options, counters), options.log, counters),
    );
  }
}

async function judged(kind: JudgedKind, review: Review, options: RouteOptions, counters: Counters): Promise<Told> {
  const { lookUps, strictReferences } = options;
  const { verdict, outcome, rules } = await judgeKind(kind, review, { lookUps, strictReferences });
  for (const rule of rules) counters.add(FINDINGS, { kind, rule });
  return { verdict, outcome, facts: { rules }, level: outcome === 'refused' ? 'info' : 'debug' };
}

async function injected(review: Review, options: RouteOptions, counters: Counters): Promise<Told> {
  const { stores: reads, settings } = options;
  const deps = { reads, settings, lookUpLimitMs: LOOK_UP_LIMIT_MS };
  const { verdict, outcome, code, sentence } = await injectWorkload(review, deps);
  counters.add('cellar_injections_total', { door: 'admission', outcome, code });
  return { verdict, outcome, facts: { code, sentence }, level: outcome === 'failed' ? 'warn' : 'debug' };
}

/**
 * Unpacks, asks, packs. What is no review is answered with 400. A fault of ours admits with a warning, for the API server
 * and the plugin's own checks come after us.
 */
function answering(kind: RouteKind, ask: (review: Review) => Promise<Told>, log: Log, counters: Counters): Handler {
  return async (request, reply) => {
    const startedAt = performance.now();
    const count = (operation: string, outcome: string): void => {
      counters.add(REQUESTS, { kind, operation: knownOperation(operation), outcome });
      counters.took(SECONDS, { kind }, (performance.now() - startedAt) / 1000);
    };
    let review: Review;
    try {
      review = readReview(request.body);
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      log.warn({ url: request.url, error: error.message }, 'not an AdmissionReview');
      count('', 'unreadable');
      return reply.code(400).send({ error: error.message });
    }
    const { namespace, name, operation, uid } = review;
    try {
      const { verdict, outcome, facts, level } = await ask(review);
      const answer = answerReview(review, verdict);
      log[level]({ kind, namespace, name, operation, outcome, ...facts }, 'admission');
      count(operation, outcome);
      return answer;
    } catch (error) {
      log.error({ kind, namespace, name, operation, uid, err: error }, 'admission failed');
      count(operation, 'fault');
      const warnings = [`admitted unseen by the backup plugin, which failed: ${messageOf(error)}`];
      return answerReview(review, { allowed: true, warnings });
    }
  };
}

/** Labels of counters never come from outside. */
function knownOperation(operation: string): string {
  return ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'].find((known) => known === operation) ?? 'other';
}
