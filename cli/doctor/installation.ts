// Operator, plugin and Kubernetes: what all Clusters need (objectstore-and-injection.md §10.1, §11.1).
import { X509Certificate } from 'node:crypto';
import { messageOf } from '../../api/errors.ts';
import { OBJECTSTORE_GROUP, PLUGIN_NAME } from '../../api/names.ts';
import { type Deployment, type Facts, itemsOf, type Known, placeOf, type Service } from './facts.ts';
import { type Finding, ok, problem, unknown, warning } from './finding.ts';

const MIN_KUBERNETES = [1, 29];
const MIN_OPERATOR = [1, 26];
const RECOMMENDED_OPERATOR = [1, 27];
/** A certificate is renewed well before; one that has so little left was not. */
const SHORT_MS = 7 * 24 * 3600_000;
const ANNOTATIONS = ['cnpg.io/pluginClientSecret', 'cnpg.io/pluginServerSecret', 'cnpg.io/pluginPort'] as const;

/** Judges the installation; `now` in milliseconds since 1970. */
export function examineInstallation(facts: Facts, now: number): Finding[] {
  const operators = itemsOf(facts.deployments).filter(isOperator);
  return [
    examineKubernetes(facts.kubernetesVersion),
    ...unreadable(facts),
    ...examineOperator(facts, operators),
    ...examineServices(facts, operators, now),
    ...examineDefinition(facts),
    ...examineWebhooks(facts),
  ];
}

function examineKubernetes(version: string): Finding {
  if (isBelow(version, MIN_KUBERNETES)) {
    return problem(
      'Kubernetes',
      `is ${version}`,
      'upgrade to 1.29 or newer: the sidecar is a native one (an init container that restarts)',
    );
  }
  return ok('Kubernetes', `is ${version}`);
}

function unreadable(facts: Facts): Finding[] {
  const parts: [string, Known<unknown>][] = [
    ['Clusters', facts.clusters],
    ['ObjectStores', facts.stores],
    ['ScheduledBackups', facts.scheduledBackups],
    ['Deployments', facts.deployments],
    ['Services', facts.services],
    ['Secrets', facts.secrets],
    ['CustomResourceDefinitions', facts.definitions],
    ['webhook configurations', facts.webhooks],
  ];
  return parts.flatMap(([name, known]) =>
    'unknown' in known ? [unknown(name, `cannot be read: ${known.unknown}`)] : [],
  );
}

/** By image, as people rename everything else. */
function isOperator({ spec }: Deployment): boolean {
  return spec.template.spec.containers.some(({ image = '' }) => /\/cloudnative-pg(:|@|$)/.test(image));
}

function examineOperator(facts: Facts, operators: Deployment[]): Finding[] {
  if ('unknown' in facts.deployments) return [];
  const about = 'CloudNativePG operator';
  if (operators.length === 0) {
    return [
      warning(
        about,
        'no Deployment runs an image named cloudnative-pg',
        'install the operator, unless it runs under another image name',
      ),
    ];
  }
  return operators.map((operator) => {
    const image = operator.spec.template.spec.containers[0]?.image ?? '';
    const version = /:v?(\d+\.\d+[^@]*)/.exec(image)?.[1];
    if (version === undefined) return unknown(about, `${placeOf(operator)} runs ${image}: no version to read`);
    if (isBelow(version, MIN_OPERATOR))
      return problem(about, `is ${version}`, 'upgrade to 1.26 or newer: older ones have no backup plugins');
    if (isBelow(version, RECOMMENDED_OPERATOR))
      return warning(about, `is ${version}`, 'upgrade: 1.27 or newer is recommended');
    return ok(about, `is ${version}, in namespace ${operator.metadata.namespace}`);
  });
}

function examineServices(facts: Facts, operators: Deployment[], now: number): Finding[] {
  if ('unknown' in facts.services) return [];
  const services = facts.services.items;
  const about = 'plugin Service';
  if (services.length === 0) {
    const label = `cnpg.io/pluginName: ${PLUGIN_NAME}`;
    return [
      problem(about, `no Service carries the label ${label}`, 'install the plugin in the namespace of the operator'),
    ];
  }
  const findings = services.flatMap((service) => examineService(service, facts, operators, now));
  if (services.length === 1) return findings;
  const places = services.map(placeOf).join(' and ');
  return [
    problem(about, `there are ${services.length}: ${places}`, 'keep one: the operator takes whichever it sees last'),
    ...findings,
  ];
}

function examineService(service: Service, facts: Facts, operators: Deployment[], now: number): Finding[] {
  const about = `Service ${placeOf(service)}`;
  const annotations = service.metadata.annotations ?? {};
  const findings: Finding[] = ANNOTATIONS.filter((name) => !annotations[name]).map((name) =>
    problem(about, `has no annotation ${name}`, 'add it: without it the operator does not look at the Service'),
  );
  const homes = operators.map(({ metadata }) => metadata.namespace);
  if (homes.length > 0 && !homes.includes(service.metadata.namespace)) {
    findings.push(
      problem(
        about,
        `is not in the operator's namespace (${homes.join(', ')})`,
        'install the plugin there: the operator looks nowhere else',
      ),
    );
  }
  findings.push(...examineDeployment(service, facts));
  for (const annotation of ANNOTATIONS.slice(0, 2)) {
    const name = annotations[annotation];
    if (name && 'items' in facts.secrets)
      findings.push(examineCertificate(service.metadata.namespace, name, facts, now));
  }
  return findings;
}

function examineDeployment(service: Service, facts: Facts): Finding[] {
  if ('unknown' in facts.deployments) return [];
  const selector = Object.entries(service.spec.selector ?? {});
  const found = facts.deployments.items.filter(({ metadata, spec }) => {
    const labels = spec.template.metadata?.labels ?? {};
    return metadata.namespace === service.metadata.namespace && selector.every(([key, value]) => labels[key] === value);
  });
  const about = `Service ${placeOf(service)}`;
  if (selector.length === 0 || found.length === 0) {
    return [
      problem(about, 'selects the Pods of no Deployment', 'compare its selector with the labels of the plugin’s Pods'),
    ];
  }
  return found.map((deployment) => {
    const name = `Deployment ${placeOf(deployment)}`;
    const images = deployment.spec.template.spec.containers.map(({ image }) => image).join(', ');
    const ready = deployment.status?.readyReplicas ?? 0;
    if (ready === 0)
      return problem(
        name,
        `runs ${images}, and no replica is ready`,
        `kubectl -n ${deployment.metadata.namespace} logs deployment/${deployment.metadata.name}`,
      );
    return ok(name, `runs ${images}, ${ready} of ${deployment.spec.replicas ?? 1} ready`);
  });
}

function examineCertificate(namespace: string | undefined, name: string, facts: Facts, now: number): Finding {
  const about = `Secret ${namespace}/${name}`;
  const secret = itemsOf(facts.secrets).find(
    ({ metadata }) => metadata.namespace === namespace && metadata.name === name,
  );
  if (secret === undefined)
    return problem(
      about,
      'does not exist',
      'let the chart make it, or cert-manager, or create it: the operator needs it to speak with the plugin',
    );
  const pem = Buffer.from(secret.data?.['tls.crt'] ?? '', 'base64');
  try {
    const until = new X509Certificate(pem).validToDate;
    const day = until.toISOString().slice(0, 10);
    if (until.getTime() <= now)
      return problem(
        about,
        `its certificate expired on ${day}`,
        'renew it: delete the Secret when the plugin or cert-manager makes it',
      );
    if (until.getTime() - now < SHORT_MS)
      return warning(about, `its certificate expires on ${day}`, 'see why it was not renewed');
    return ok(about, `its certificate is valid until ${day}`);
  } catch (error) {
    return problem(about, `its tls.crt is no certificate: ${messageOf(error)}`, 'make it anew');
  }
}

function examineDefinition(facts: Facts): Finding[] {
  if ('unknown' in facts.definitions) return [];
  const [definition] = facts.definitions.items;
  const about = 'ObjectStore definition';
  if (definition === undefined) return [problem(about, 'is not installed', 'install the chart with crds.create: true')];
  const empty = itemsOf(facts.stores).filter(({ spec }) => spec.configuration.serverName === '');
  if (empty.length === 0) return [ok(about, 'is installed')];
  const names = empty.map(placeOf).join(', ');
  return [
    warning(
      about,
      `serverName is "" in ${names}`,
      'remove the field before a switch to the Go plugin: its definition refuses the empty string',
    ),
  ];
}

function examineWebhooks(facts: Facts): Finding[] {
  const ours = itemsOf(facts.webhooks).filter(({ webhooks }) =>
    webhooks?.some(({ rules }) => rules?.some(({ apiGroups }) => apiGroups?.includes(OBJECTSTORE_GROUP))),
  );
  return ours.map((configuration) => {
    const about = `${configuration.kind ?? 'webhook configuration'} ${configuration.metadata.name}`;
    const bare = configuration.webhooks?.filter(({ clientConfig }) => !clientConfig.caBundle) ?? [];
    if (bare.length === 0) return ok(about, 'trusts a certificate authority');
    return problem(
      about,
      `has no caBundle for ${bare.map(({ name }) => name).join(', ')}`,
      'see the plugin’s log: it writes the bundle at start (certificates.mode self-made), or cert-manager does',
    );
  });
}

function isBelow(version: string, [major = 0, minor = 0]: number[]): boolean {
  const [, foundMajor = '0', foundMinor = '0'] = /(\d+)\.(\d+)/.exec(version) ?? [];
  return Number(foundMajor) < major || (Number(foundMajor) === major && Number(foundMinor) < minor);
}
