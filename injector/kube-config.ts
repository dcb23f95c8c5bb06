// How the operator process reaches the API server: a kubeconfig, or the service account of its Pod.
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import {
  CoreV1Api,
  CustomObjectsApi,
  createConfiguration,
  KubeConfig,
  ServerConfiguration,
} from '@kubernetes/client-node';
import { InvalidInputError, messageOf } from '../api/errors.ts';

export type OperatorKubeOptions = {
  /** A kubeconfig file; without it the service account of the Pod is used. */
  kubeconfig: string | undefined;
  host: string;
  port: number;
  /** Holds `ca.crt` and `token`; the token is read again as it rotates. */
  serviceAccountFolder: string;
  cnpgGroup: string;
  cnpgVersion: string;
};

/** One request, from start to end. A hook may take 30 s, and the operator gives loading the plugins 5 s (§2.3). */
const TIMEOUT_MS = 10_000;

/** The package exports the types of its middleware only inside others. */
type Middleware = NonNullable<NonNullable<Parameters<typeof createConfiguration>[0]>['promiseMiddleware']>[number];

/** Kubernetes' word for a kind and where it is served. */
export type Resource = { group: string; version: string; plural: string; kind: string };

export type KubeAccess = { config: KubeConfig; api: CustomObjectsApi; core: CoreV1Api };

/** Opens nothing; throws InvalidInputError when the kubeconfig is not usable. */
export function kubeAccess(options: OperatorKubeOptions): KubeAccess {
  const config = new KubeConfig();
  loadConfig(config, options);
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new InvalidInputError('KUBECONFIG', options.kubeconfig, 'its current context must name one of its clusters');
  }
  const client = createConfiguration({
    baseServer: new ServerConfiguration(cluster.server, {}),
    authMethods: { default: config },
    promiseMiddleware: [LIMIT],
  });
  return { config, api: new CustomObjectsApi(client), core: new CoreV1Api(client) };
}

const LIMIT: Middleware = {
  async pre(context) {
    context.setSignal(AbortSignal.timeout(TIMEOUT_MS));
    return context;
  },
  post: async (context) => context,
};

function loadConfig(config: KubeConfig, options: OperatorKubeOptions): void {
  if (options.kubeconfig !== undefined) {
    try {
      config.loadFromFile(options.kubeconfig);
      return;
    } catch (error) {
      const advice = `cannot be used as a kubeconfig: ${messageOf(error)}`;
      throw new InvalidInputError('KUBECONFIG', options.kubeconfig, advice, { cause: error });
    }
  }
  const host = isIPv6(options.host) ? `[${options.host}]` : options.host;
  const folder = options.serviceAccountFolder;
  config.loadFromClusterAndUser(
    {
      name: 'in-cluster',
      server: `https://${host}:${options.port}`,
      caFile: join(folder, 'ca.crt'),
      skipTLSVerify: false,
    },
    { name: 'service-account', authProvider: { name: 'tokenFile', config: { tokenFile: join(folder, 'token') } } },
  );
}
