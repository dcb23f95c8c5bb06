/** The mini-kubelet: binds pods to its nodes, runs each as a PodRunner, keeps their mounted Secrets and ConfigMaps fresh. */
import type { V1ConfigMap, V1Pod, V1Secret } from '@kubernetes/client-node';
import { net, nodes, ports } from '../addresses.ts';
import { readImages } from '../images.ts';
import { core, follow, idOf, isStatus, objects } from '../kube.ts';
import { imagesFile } from '../place.ts';
import { PodRunner } from './pod.ts';
import { writeEtc } from './sandbox.ts';

export class Kubelet {
  readonly runners = new Map<string, PodRunner>();
  readonly #images = readImages(imagesFile);
  readonly #binding = new Set<string>();
  #next = 0;
  #closing = false;

  async start(): Promise<void> {
    writeEtc();
    for (const node of nodes) await registerNode(node);
    await follow<V1Pod>('/api/v1/pods', () => core.listPodForAllNamespaces(), {
      change: (pod) => this.#seen(pod),
      gone: (pod) => void this.#runnerGone(pod),
    });
    await follow<V1Secret>('/api/v1/secrets', () => core.listSecretForAllNamespaces(), {
      change: (o) => this.#refresh('secret', o),
    });
    await follow<V1ConfigMap>('/api/v1/configmaps', () => core.listConfigMapForAllNamespaces(), {
      change: (o) => this.#refresh('configMap', o),
    });
  }

  /** Ends every pod's processes without waiting for grace; the API is going away too. */
  async stop(): Promise<void> {
    this.#closing = true;
    await Promise.all([...this.runners.values()].map((runner) => runner.discard()));
  }

  find(namespace: string, name: string): PodRunner | undefined {
    return [...this.runners.values()].find((r) => idOf(r.pod).namespace === namespace && idOf(r.pod).name === name);
  }

  #seen(pod: V1Pod): void {
    if (this.#closing) return;
    const { uid } = idOf(pod);
    const { deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata ?? {};
    const runner = this.runners.get(uid);
    if (runner && deletionTimestamp) {
      void runner.terminate(deletionGracePeriodSeconds ?? 30).finally(() => this.runners.delete(uid));
    } else if (!runner && deletionTimestamp) {
      void removeObject(pod);
    } else if (!runner && !pod.spec?.nodeName && !pod.spec?.schedulingGates?.length) {
      void this.#bind(pod);
    } else if (
      !runner &&
      nodes.includes(pod.spec?.nodeName ?? '') &&
      !['Succeeded', 'Failed'].includes(pod.status?.phase ?? '')
    ) {
      const fresh = new PodRunner(pod, this.#images);
      this.runners.set(uid, fresh);
      void fresh.run();
    }
  }

  async #runnerGone(pod: V1Pod): Promise<void> {
    const runner = this.runners.get(idOf(pod).uid);
    this.runners.delete(idOf(pod).uid);
    await runner?.discard();
  }

  async #bind(pod: V1Pod): Promise<void> {
    const { name, namespace, uid } = idOf(pod);
    if (this.#binding.has(uid)) return;
    this.#binding.add(uid);
    const node = nodes[this.#next++ % nodes.length] ?? '';
    try {
      await core.createNamespacedPodBinding({
        name,
        namespace,
        body: { metadata: { name, namespace, uid }, target: { apiVersion: 'v1', kind: 'Node', name: node } },
      });
    } catch (error) {
      if (!isStatus(error, 404, 409)) console.error(`binding ${namespace}/${name}: ${(error as Error).message}`);
    }
    this.#binding.delete(uid);
  }

  #refresh(kind: 'secret' | 'configMap', object: V1Secret | V1ConfigMap): void {
    for (const runner of this.runners.values()) {
      if (idOf(runner.pod).namespace !== idOf(object).namespace) continue;
      runner.volumes
        .refresh(kind, idOf(object).name)
        .catch((error) => console.error(`${runner.id}: refreshing ${kind}: ${error.message}`));
    }
  }
}

async function removeObject(pod: V1Pod): Promise<void> {
  const { name, namespace } = idOf(pod);
  await core.deleteNamespacedPod({ name, namespace, gracePeriodSeconds: 0 }).catch(() => undefined);
}

async function registerNode(name: string): Promise<void> {
  const resources = { cpu: '64', memory: '256Gi', 'ephemeral-storage': '1Ti', pods: '250' };
  const now = new Date().toISOString();
  await objects.create({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      labels: {
        'kubernetes.io/hostname': name,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': process.arch === 'x64' ? 'amd64' : process.arch,
      },
    },
  });
  await core.patchNodeStatus({
    name,
    body: [
      {
        op: 'add',
        path: '/status',
        value: {
          capacity: resources,
          allocatable: resources,
          addresses: [
            { type: 'InternalIP', address: net.node },
            { type: 'Hostname', address: name },
          ],
          daemonEndpoints: { kubeletEndpoint: { Port: ports.kubelet } },
          conditions: [
            {
              type: 'Ready',
              status: 'True',
              reason: 'KubeletReady',
              message: 'mini-kubelet',
              lastHeartbeatTime: now,
              lastTransitionTime: now,
            },
          ],
          nodeInfo: {
            architecture: 'amd64',
            operatingSystem: 'linux',
            kubeletVersion: 'v1.34.4',
            containerRuntimeVersion: 'local://1',
            kernelVersion: '',
            machineID: '',
            systemUUID: '',
            bootID: '',
            osImage: 'local',
            kubeProxyVersion: '',
          },
        },
      },
    ],
  });
}
