// Certificates that look after themselves, with everything real but their lives: two operator processes, an API server, an
// apply that trusts what the webhook configuration says, and a CNPG-I call that trusts what the Secrets say.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { PLUGIN_NAME } from '../api/names.ts';
import { type KubeApi, startKubeApi } from '../test/kube-api.ts';
import { type OperatorChild, startOperatorChild } from '../test/operator-child.ts';
import { connectOperator } from '../test/operator-double.ts';

const NAMESPACE = 'cnpg-system';
const CONFIGURATION = 'cellar';
const SERVER_NAME = `cellar-webhook.${NAMESPACE}.svc`;

/** Certificates live 20 s in the long form, and in the short form less than half of that. */
const LONG = process.env.CELLAR_ALL === '1';
const LIVES = LONG
  ? ['--certificate-duration=20s', '--certificate-renew-before=10s']
  : ['--certificate-duration=8s', '--certificate-renew-before=4s'];
/** Three certificates are two rotations; three authorities take a minute more. */
const WANTED = LONG ? { certificates: 3, authorities: 3 } : { certificates: 3, authorities: 1 };

test('objects are applied and CNPG-I is called throughout two rotations, on two replicas', async (t) => {
  const { kube, start } = await cluster(t);
  const replicas = await Promise.all([start(LIVES), start(LIVES)]);
  const certificates = new Set<string>();
  const authorities = new Set<string>();
  let applies = 0;
  while (certificates.size < WANTED.certificates || authorities.size < WANTED.authorities) {
    const caBundle = caBundleOf(kube);
    for (const { webhookUrl, grpcAddress } of replicas) {
      const { uid, certificate } = await review(webhookUrl, caBundle);
      assert.equal(uid, 'u-1');
      certificates.add(certificate);
      applies += 1;
      await callPlugin(kube, grpcAddress);
    }
    authorities.add(caBundle);
  }
  assert.ok(applies >= 2 * WANTED.certificates);
  const [first] = replicas;
  const { status, text } = await getHealth(first?.healthPort, 'metrics');
  assert.equal(status, 200);
  for (const use of ['server', 'client', 'webhook']) {
    const [, end] = new RegExp(`certificate_expiry_timestamp_seconds\\{use="${use}"\\} (\\d+)`).exec(text) ?? [];
    assert.ok(Number(end) * 1000 > Date.now(), text);
  }
  for (const { child } of replicas) assert.doesNotMatch(child.output, /PRIVATE KEY|BEGIN/);
});

test('while the API server grants no Secrets the process lives, is not ready and says why, and goes on once it may', async (t) => {
  const { kube, launch } = await cluster(t);
  kube.forbid((_method, path) => path.includes('/secrets'));
  const child = launch([]);
  const lines = await child.linesUntil('certificates can be neither found nor made, trying again');
  const { port } = lines.find(({ msg }) => msg === 'health probes are answered') ?? {};
  assert.deepEqual(await getHealth(port, 'healthz'), { status: 200, text: 'ok' });
  assert.deepEqual(await getHealth(port, 'readyz'), { status: 503, text: 'starting' });
  assert.match(child.output, /allow the plugin's service account to read secrets|is forbidden/);
  kube.forbid(() => false);
  await child.linesUntil('operator process started');
  assert.equal((await getHealth(port, 'readyz')).status, 200);
});

test('no apply is refused while replicas are replaced one after the other', async (t) => {
  const { kube, start } = await cluster(t);
  const delayFlag = ['--shutdown-delay=1s'];
  /** What the Service leads to: whoever was ready when last looked at. */
  let endpoints = [await start(delayFlag)];
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  let replaced = false;
  let applies = 0;
  const applying = (async () => {
    while (!replaced) {
      const endpoint = endpoints[applies % endpoints.length];
      const { uid } = await review(endpoint?.webhookUrl ?? '', caBundleOf(kube), agent);
      assert.equal(uid, 'u-1');
      applies += 1;
      await delay(5);
    }
  })();
  for (let round = 0; round < (LONG ? 3 : 1); round += 1) {
    const [leaving] = endpoints;
    assert.ok(leaving);
    const coming = await start(delayFlag);
    endpoints = [leaving, coming];
    const before = applies;
    while (applies < before + 4) await delay(10);
    leaving.child.process.kill('SIGTERM');
    // The probe of the kubelet, and the endpoints some time after it.
    while ((await getHealth(leaving.healthPort, 'readyz')).status === 200) await delay(20);
    await delay(200);
    endpoints = [coming];
    assert.deepEqual(await leaving.child.ended, [0, null]);
  }
  replaced = true;
  await applying;
  assert.ok(applies > 4);
});

type Replica = { child: OperatorChild; webhookUrl: string; grpcAddress: string; healthPort: unknown };

async function cluster(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-self-made-'));
  t.after(() => rm(folder, { recursive: true }));
  const kube = await startKubeApi({ namespace: NAMESPACE });
  t.after(() => kube.stop());
  await kube.writeServiceAccount(folder);
  for (const kind of ['ValidatingWebhookConfiguration', 'MutatingWebhookConfiguration']) {
    const webhooks = ['objectstores', 'clusters'].map((name) => ({ name: `${name}.cellar.io`, clientConfig: {} }));
    await kube.apply({
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind,
      metadata: { name: CONFIGURATION },
      webhooks,
    });
  }
  const launch = (more: string[]): OperatorChild =>
    startOperatorChild(
      t,
      [
        ...['--certificates=self-made', '--server-address=127.0.0.1:0', '--webhook-address=127.0.0.1:0'],
        ...['--health-probe-bind-address=127.0.0.1:0', '--shutdown-delay=0'],
        ...[`--validating-configuration=${CONFIGURATION}`, `--mutating-configuration=${CONFIGURATION}`, ...more],
      ],
      {
        SIDECAR_IMAGE: 'example.test/sidecar:1.0.0',
        KUBERNETES_SERVICE_HOST: kube.host,
        KUBERNETES_SERVICE_PORT: String(kube.port),
        CELLAR_SERVICE_ACCOUNT_FOLDER: folder,
      },
    );
  const start = async (more: string[]): Promise<Replica> => {
    const child = launch(more);
    const lines = await child.linesUntil('operator process started');
    const said = (message: string) => lines.find(({ msg }) => msg === message) ?? {};
    return {
      child,
      webhookUrl: String(said('admission webhook listens').url),
      grpcAddress: String(said('gRPC server listens').address),
      healthPort: said('health probes are answered').port,
    };
  };
  return { kube, launch, start };
}

/** As the API server asks: it trusts the configuration, and knows the door by the name of its Service. */
async function review(url: string, ca: string, agent?: Agent): Promise<{ uid: string; certificate: string }> {
  const request = {
    uid: 'u-1',
    operation: 'CREATE',
    namespace: 'shop',
    name: 'main',
    object: { metadata: {}, spec: {} },
  };
  const body = JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request });
  const sent = httpsRequest(`${url}/validate/objectstores`, {
    ...{ ca, servername: SERVER_NAME, method: 'POST', agent: agent ?? false },
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
  });
  sent.end(body);
  const [response] = await once(sent, 'response');
  const { fingerprint256 } = (response.socket as TLSSocket).getPeerCertificate();
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  const { uid } = JSON.parse(Buffer.concat(chunks).toString()).response;
  return { uid, certificate: fingerprint256 };
}

/** As CloudNativePG calls: its pool of trust is `tls.crt` of the one Secret, and it presents the other (§2.2). */
async function callPlugin(kube: KubeApi, address: string): Promise<void> {
  const server = secretOf(kube, 'barman-cloud-server-tls');
  const operator = await connectOperator({
    ...{ address, serverName: 'barman-cloud', serverCertificate: server['tls.crt'] ?? '' },
    client: pairOf(secretOf(kube, 'barman-cloud-client-tls')),
  });
  assert.equal(operator.connection.metadata.name, PLUGIN_NAME);
  operator.close();
}

/** The certificate alone, as Go picks it. */
function pairOf(data: Record<string, string>): { cert: string; key: string } {
  return { cert: new X509Certificate(data['tls.crt'] ?? '').toString(), key: data['tls.key'] ?? '' };
}

function secretOf(kube: KubeApi, name: string): Record<string, string> {
  const { data } = kube.get('Secret', name) as unknown as { data: Record<string, string> };
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]));
}

function caBundleOf(kube: KubeApi): string {
  const { webhooks } = kube.get('ValidatingWebhookConfiguration', CONFIGURATION) as unknown as {
    webhooks: { clientConfig: { caBundle: string } }[];
  };
  return Buffer.from(webhooks[0]?.clientConfig.caBundle ?? '', 'base64').toString();
}

async function getHealth(port: unknown, path: string): Promise<{ status: number; text: string }> {
  const response = await fetch(`http://127.0.0.1:${port}/${path}`);
  return { status: response.status, text: await response.text() };
}
