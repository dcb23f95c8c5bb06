// The Cluster that a Pod belongs to, read from the API server as the Pod's service account.
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import type { Cluster } from '../../../api/kube.ts';

const MOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Throws the API server's words when it refuses. */
export async function readOwnCluster(): Promise<Cluster> {
  const { KUBERNETES_SERVICE_HOST: host, NAMESPACE: namespace, CLUSTER_NAME: name } = process.env;
  const [token, ca] = await Promise.all(['token', 'ca.crt'].map((file) => readFile(`${MOUNT}/${file}`, 'utf8')));
  const path = `/apis/postgresql.cnpg.io/v1/namespaces/${namespace}/clusters/${name}`;
  const answer = await new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` };
    request({ host, path, ca, headers }, (response) => {
      text(response).then((body) => resolve({ status: response.statusCode, body }), reject);
    })
      .once('error', reject)
      .end();
  });
  if (answer.status !== 200) throw new Error(`the Cluster ${name} cannot be read: ${answer.body}`);
  return JSON.parse(answer.body);
}
