// Reads the snapshot for `cellar doctor` with the rights of whoever calls it; changes nothing.
import { ApiException, CoreV1Api, CustomObjectsApi, type KubeConfig, VersionApi } from '@kubernetes/client-node';
import { messageOf } from '../../api/errors.ts';
import { OBJECTSTORE_GROUP, OBJECTSTORE_PLURAL, OBJECTSTORE_VERSION, PLUGIN_NAME } from '../../api/names.ts';
import type { ObjectStore, SecretSelector } from '../../api/objectstore.ts';
import {
  type ClusterFacts,
  type Definition,
  type Deployment,
  type Facts,
  itemsOf,
  type Known,
  type ScheduledBackup,
  type Secret,
  type Service,
  type WebhookConfiguration,
} from './facts.ts';

/** Where Clusters are served: forks of the operator have a group of their own. */
export type ClusterApi = { cnpgGroup: string; cnpgVersion: string };

/**
 * Reads what the caller may read; what is forbidden is said in its place. Of Secrets only those that ObjectStores and the
 * plugin's Service name are asked for. Throws when the API server cannot be reached at all.
 */
export async function readFacts(config: KubeConfig, { cnpgGroup, cnpgVersion }: ClusterApi): Promise<Facts> {
  const { gitVersion } = await config.makeApiClient(VersionApi).getCode();
  const custom = config.makeApiClient(CustomObjectsApi);
  const core = config.makeApiClient(CoreV1Api);
  const list = <T>(group: string, version: string, plural: string): Promise<Known<T>> =>
    knownList<T>(() => custom.listClusterCustomObject({ group, version, plural }));
  const [clusters, stores, scheduledBackups, deployments, services, definitions, validating, mutating] =
    await Promise.all([
      list<ClusterFacts>(cnpgGroup, cnpgVersion, 'clusters'),
      list<ObjectStore>(OBJECTSTORE_GROUP, OBJECTSTORE_VERSION, OBJECTSTORE_PLURAL),
      list<ScheduledBackup>(cnpgGroup, cnpgVersion, 'scheduledbackups'),
      list<Deployment>('apps', 'v1', 'deployments'),
      knownList<Service>(() =>
        core.listServiceForAllNamespaces({ labelSelector: `cnpg.io/pluginName=${PLUGIN_NAME}` }),
      ),
      list<Definition>('apiextensions.k8s.io', 'v1', 'customresourcedefinitions'),
      list<WebhookConfiguration>('admissionregistration.k8s.io', 'v1', 'validatingwebhookconfigurations'),
      list<WebhookConfiguration>('admissionregistration.k8s.io', 'v1', 'mutatingwebhookconfigurations'),
    ]);
  const secrets = await readSecrets(core, [...secretsOfStores(stores), ...secretsOfServices(services)]);
  return {
    kubernetesVersion: gitVersion,
    ...{ clusters, stores, scheduledBackups, deployments, services, secrets },
    definitions: filtered(
      definitions,
      ({ metadata }) => metadata.name === `${OBJECTSTORE_PLURAL}.${OBJECTSTORE_GROUP}`,
    ),
    webhooks: joined(
      withKind(validating, 'ValidatingWebhookConfiguration'),
      withKind(mutating, 'MutatingWebhookConfiguration'),
    ),
    looks: new Map(),
  };
}

/** A kind that is not installed has no objects. */
async function knownList<T>(read: () => Promise<unknown>): Promise<Known<T>> {
  try {
    // What the API server lists under a plural is of its kind.
    return { items: ((await read()) as { items: T[] }).items };
  } catch (error) {
    if (error instanceof ApiException && error.code === 404) return { items: [] };
    return { unknown: reasonOf(error) };
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof ApiException)) return messageOf(error);
  if (error.code === 403) return 'your account may not read them';
  return `the API server answers ${error.code}`;
}

type Place = { namespace: string; name: string };

function secretsOfStores(stores: Known<ObjectStore>): Place[] {
  return itemsOf(stores).flatMap(({ metadata, spec }) => {
    const { endpointCA, s3Credentials, azureCredentials, googleCredentials } = spec.configuration;
    return Object.values({ endpointCA, ...s3Credentials, ...azureCredentials, ...googleCredentials })
      .filter((value): value is SecretSelector => typeof value === 'object')
      .map(({ name }) => ({ namespace: metadata?.namespace ?? 'default', name }));
  });
}

function secretsOfServices(services: Known<Service>): Place[] {
  return itemsOf(services).flatMap(({ metadata }) =>
    ['cnpg.io/pluginClientSecret', 'cnpg.io/pluginServerSecret'].flatMap((annotation) => {
      const name = metadata.annotations?.[annotation];
      return name ? [{ namespace: metadata.namespace ?? 'default', name }] : [];
    }),
  );
}

async function readSecrets(core: CoreV1Api, places: Place[]): Promise<Known<Secret>> {
  const different = new Map(places.map((place) => [`${place.namespace}/${place.name}`, place]));
  const items: Secret[] = [];
  for (const place of different.values()) {
    try {
      const { metadata, data } = await core.readNamespacedSecret(place);
      items.push({ metadata: { ...place, uid: metadata?.uid ?? '' }, data: data ?? {} });
    } catch (error) {
      if (error instanceof ApiException && error.code === 404) continue;
      return { unknown: reasonOf(error) };
    }
  }
  return { items };
}

function filtered<T>(known: Known<T>, keep: (item: T) => boolean): Known<T> {
  return 'items' in known ? { items: known.items.filter(keep) } : known;
}

function withKind(known: Known<WebhookConfiguration>, kind: string): Known<WebhookConfiguration> {
  return 'items' in known ? { items: known.items.map((item) => ({ ...item, kind })) } : known;
}

function joined<T>(one: Known<T>, other: Known<T>): Known<T> {
  if (!('items' in one)) return one;
  return 'items' in other ? { items: [...one.items, ...other.items] } : other;
}
