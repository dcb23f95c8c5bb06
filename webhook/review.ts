// The AdmissionReview envelope, version v1 of admission.k8s.io: unpacked strictly, packed once.
import { InvalidInputError } from '../api/errors.ts';
import { type Problem, sentenceOf } from '../api/problems.ts';
import { childOf, isFields } from '../api/schema.ts';
import type { Operation as PatchOperation } from '../injector/patch.ts';

/** What a review asks about. Nothing in `object` and `oldObject` is checked. */
export type Review = {
  uid: string;
  operation: string;
  /** Of the kind: empty for Pods; of Clusters it is the operator's, which may be a fork. */
  group: string;
  kind: string;
  namespace: string;
  name: string;
  subResource: string;
  object: unknown;
  oldObject: unknown;
};

export type Verdict =
  | { allowed: true; warnings: string[]; patch?: PatchOperation[] }
  | { allowed: false; warnings: string[]; problems: Problem[] };

export type StatusCause = { reason: string; field: string; message: string };

export type AdmissionAnswer = {
  apiVersion: string;
  kind: string;
  response: {
    uid: string;
    allowed: boolean;
    warnings?: string[];
    patchType?: 'JSONPatch';
    patch?: string;
    status?: {
      status: 'Failure';
      code: number;
      reason: string;
      message: string;
      details: { name: string; group: string; kind: string; causes: StatusCause[] };
    };
  };
};

const API_VERSION = 'admission.k8s.io/v1';
const KIND = 'AdmissionReview';

/** The API server drops what goes beyond 4 KiB of warnings; kubectl cuts each one. */
const MAX_WARNINGS = 200;
const MAX_WARNING_LENGTH = 200;
const MAX_PROBLEMS = 100;
const MAX_NAME_LENGTH = 253;

/** Unpacks any JSON value; throws InvalidInputError when it is no review that can be answered. */
export function readReview(body: unknown): Review {
  if (!isFields(body)) throw new InvalidInputError('body', kindOf(body), `must be an ${KIND}`);
  if (body.kind !== KIND) throw new InvalidInputError('kind', textOf(body.kind), `must be ${KIND}`);
  if (body.apiVersion !== API_VERSION) {
    throw new InvalidInputError('apiVersion', textOf(body.apiVersion), `must be ${API_VERSION}`);
  }
  const { request } = body;
  if (!isFields(request)) throw new InvalidInputError('request', kindOf(request), 'must be an object');
  const { uid } = request;
  if (typeof uid !== 'string' || uid === '')
    throw new InvalidInputError('request.uid', kindOf(uid), 'must be a string, not empty');
  return {
    uid,
    operation: nameOf(request.operation),
    group: nameOf(childOf(request.kind, 'group')),
    kind: nameOf(childOf(request.kind, 'kind')),
    namespace: nameOf(request.namespace),
    name: nameOf(request.name) || nameOf(childOf(childOf(request.object, 'metadata'), 'name')),
    subResource: nameOf(request.subResource),
    object: request.object,
    oldObject: request.oldObject,
  };
}

/** Packs the answer. A refusal carries every problem: in its message, and one by one for kubectl. */
export function answerReview(review: Review, verdict: Verdict): AdmissionAnswer {
  const warnings = verdict.warnings.slice(0, MAX_WARNINGS).map((warning) => cut(warning));
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    response: {
      uid: review.uid,
      allowed: verdict.allowed,
      ...(warnings.length === 0 ? {} : { warnings }),
      ...(verdict.allowed ? packPatch(verdict.patch ?? []) : { status: refusal(review, verdict.problems) }),
    },
  };
}

function packPatch(patch: PatchOperation[]) {
  if (patch.length === 0) return {};
  return { patchType: 'JSONPatch' as const, patch: Buffer.from(JSON.stringify(patch)).toString('base64') };
}

/** HTTP 422 with reason Invalid and causes is what kubectl prints as a list, one line for each problem. */
function refusal(review: Review, problems: Problem[]) {
  const shown = problems.slice(0, MAX_PROBLEMS);
  const sentences = shown.map(sentenceOf);
  const rest = problems.length - shown.length;
  if (rest > 0) sentences.push(`and ${rest} more`);
  const message =
    sentences.length === 1 ? sentences.join() : `${problems.length} problems:\n* ${sentences.join('\n* ')}`;
  return {
    status: 'Failure' as const,
    code: 422,
    reason: 'Invalid',
    message,
    details: {
      name: review.name,
      group: review.group,
      kind: review.kind,
      causes: shown.map((problem) => ({ reason: problem.reason, field: problem.path, message: problem.message })),
    },
  };
}

function cut(warning: string): string {
  const line = warning.replaceAll(/\p{Cc}+/gu, ' ');
  return line.length <= MAX_WARNING_LENGTH ? line : `${line.slice(0, MAX_WARNING_LENGTH - 1).toWellFormed()}…`;
}

/** Names end up in logs: never longer than Kubernetes allows. */
function nameOf(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, MAX_NAME_LENGTH) : '';
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value.slice(0, 60) : undefined;
}

function kindOf(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`;
}
