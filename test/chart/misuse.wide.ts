// Settings that cannot work are refused, with field, value found and what to do instead; and what an installation prints.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { helmNotes, helmTemplate } from './helm.ts';

const REFUSALS: [values: string[], message: RegExp][] = [
  [
    ['certificate.duration=48h'],
    /certificate\.duration: found "48h" with certificates\.mode: self-made.*use certificates\.selfMade\.duration/,
  ],
  [
    ['certificate.issuerName=mine'],
    /certificate\.issuerName: found "mine" with certificates\.mode: self-made.*set certificates\.mode: cert-manager/,
  ],
  [['certificate.createIssuer=false'], /certificate\.createIssuer: found "false" with certificates\.mode: self-made/],
  [
    ['certificate.createServerCertificate=false'],
    /certificate\.createServerCertificate: found "false".*certificates\.serverSecretName and certificates\.clientSecretName/,
  ],
  [
    ['certificate.server.dnsNames={a.b}'],
    /certificate\.server\.dnsNames: found "a\.b" with certificates\.mode: self-made/,
  ],
  [
    ['certificates.mode=bring-your-own'],
    /certificates\.caBundle: found "" with certificates of your own.*webhook\.enabled: false/,
  ],
  [
    ['certificates.mode=cert-manager', 'certificate.createIssuer=false'],
    /certificate\.issuerName: found "" with certificate\.createIssuer: false/,
  ],
  [
    ['service.annotations.pluginServerName=x.y'],
    /service\.annotations\.pluginServerName: found "x\.y" with certificates\.mode: self-made/,
  ],
  [
    ['image.repository=cloudnative-pg/plugin-barman-cloud'],
    /image\.repository: found "cloudnative-pg\/plugin-barman-cloud", an image of the Go plugin/,
  ],
  [
    ['sidecarImage.repository=cloudnative-pg/plugin-barman-cloud-sidecar'],
    /sidecarImage\.repository: found .* an image of the Go plugin/,
  ],
  [['webhook.enable=true'], /at '\/webhook': additional properties 'enable' not allowed/],
  [['replicaCount=two'], /at '\/replicaCount': got string, want integer/],
  [
    ['certificates.mode=selfmade'],
    /at '\/certificates\/mode': value must be one of 'self-made', 'cert-manager', 'bring-your-own'/,
  ],
  [['webhook.pods.failurePolicy=fail'], /at '\/webhook\/pods\/failurePolicy': value must be one of 'Fail', 'Ignore'/],
];

for (const [values, message] of REFUSALS) {
  test(`refused: ${values.join(', ')}`, () => {
    const { status, stderr } = helmTemplate(values.flatMap((value) => ['--set', value]));
    assert.notEqual(status, 0);
    assert.match(stderr, message);
  });
}

test('Kubernetes below 1.29 is refused', () => {
  const { status, stderr } = helmTemplate(['--kube-version', '1.28.9']);
  assert.notEqual(status, 0);
  assert.match(stderr, /requires kubeVersion: >=1\.29\.0-0/);
});

test('the notes tell the next step, and that an image without a registry must be loaded', () => {
  const { status, stdout, stderr } = helmNotes([]);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /kubectl rollout status deployment\/barman-cloud -n cnpg-system/);
  assert.match(stdout, /The image cellar:\S+ has no registry/);
  assert.doesNotMatch(stdout, /WARNING|webhook is off/);
});

test('the notes say what a plugin without the webhook does not do', () => {
  const { stdout } = helmNotes(['--values', join(import.meta.dirname, 'values/no-webhook.yaml')]);
  assert.match(stdout, /The webhook is off/);
});
