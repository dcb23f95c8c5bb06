// Calls an admission door as the API server does when an object is applied: AdmissionReview v1 over HTTPS.
import { randomUUID } from 'node:crypto';
import { request as httpsRequest } from 'node:https';
import type { AdmissionAnswer } from '../../webhook/review.ts';
import type { KubeObject } from './objects.ts';
import type { Resource } from './resources.ts';

export type Door = {
  /** Name of the webhook in its configuration, as the API server repeats it to users. */
  name: string;
  url: string;
  /** The `caBundle` of the configuration. */
  ca: string;
  /** TLS name to verify when it is not the host of the URL: `<service>.<namespace>.svc`. */
  serverName?: string;
  kind: string;
  phase: 'mutating' | 'validating';
};

export type Verdict = {
  door: string;
  allowed: boolean;
  /** What the door answered, checked as the API server checks it. */
  answer: AdmissionAnswer;
  /** Decoded RFC 6902 patch; undefined when the door changes nothing. */
  patch: unknown;
};

/** The longest that Kubernetes allows: this machine may be busier than a control plane. */
const TIMEOUT_MS = 30_000;
const USER = { username: 'kubernetes-admin', groups: ['kubeadm:cluster-admins', 'system:authenticated'] };

/** Asks a door about one write. Throws when the door does not answer as the API server demands. */
export async function review(
  door: Door,
  resource: Resource,
  request: { operation: 'CREATE' | 'UPDATE'; namespace: string; object: KubeObject; oldObject: KubeObject | null },
): Promise<Verdict> {
  const uid = randomUUID();
  const kind = { group: resource.group, version: resource.version, kind: resource.kind };
  const plural = { group: resource.group, version: resource.version, resource: resource.plural };
  const options = { kind: request.operation === 'CREATE' ? 'CreateOptions' : 'UpdateOptions' };
  const answer = await post(door, {
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: {
      uid,
      kind,
      resource: plural,
      requestKind: kind,
      requestResource: plural,
      name: request.object.metadata.name,
      namespace: request.namespace,
      operation: request.operation,
      userInfo: USER,
      object: request.object,
      oldObject: request.oldObject,
      dryRun: false,
      options: { ...options, apiVersion: 'meta.k8s.io/v1', fieldManager: 'kubectl-client-side-apply' },
    },
  });
  return verdictOf(door, uid, answer);
}

function verdictOf(door: Door, uid: string, answer: AdmissionAnswer): Verdict {
  const { response } = answer;
  if (answer.apiVersion !== 'admission.k8s.io/v1' || answer.kind !== 'AdmissionReview' || response?.uid !== uid) {
    throw new Error(`${door.name}: the answer is no AdmissionReview v1 for this request`);
  }
  if ((response.patch === undefined) !== (response.patchType === undefined)) {
    throw new Error(`${door.name}: patch and patchType come together or not at all`);
  }
  if (response.patchType !== undefined && response.patchType !== 'JSONPatch') {
    throw new Error(`${door.name}: unknown patchType ${response.patchType}`);
  }
  const patch = response.patch === undefined ? undefined : Buffer.from(response.patch, 'base64').toString('utf8');
  const decoded = patch === undefined ? undefined : JSON.parse(patch);
  return { door: door.name, allowed: response.allowed === true, answer, patch: decoded };
}

function post(door: Door, body: unknown): Promise<AdmissionAnswer> {
  const text = JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const url = new URL(door.url);
    url.searchParams.set('timeout', `${TIMEOUT_MS / 1000}s`);
    const call = httpsRequest(url, {
      method: 'POST',
      ca: door.ca,
      ...(door.serverName === undefined ? {} : { servername: door.serverName }),
      agent: false,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, */*',
        'content-length': Buffer.byteLength(text),
        'user-agent': 'kube-apiserver-admission',
      },
    });
    const fail = (error: Error): void => reject(new Error(`failed calling webhook "${door.name}": ${error.message}`));
    call.on('error', fail);
    call.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', fail);
      response.on('end', () => {
        const answer = Buffer.concat(chunks).toString('utf8');
        if (response.statusCode !== 200) {
          fail(new Error(`HTTP ${response.statusCode}: ${answer.slice(0, 300)}`));
          return;
        }
        try {
          resolve(JSON.parse(answer));
        } catch {
          fail(new Error('the answer is not JSON'));
        }
      });
    });
    call.end(text);
  });
}
