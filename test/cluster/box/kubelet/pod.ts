/** One pod: network, volumes, init containers in order, native sidecars, containers, end. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { V1Container, V1Pod, V1PodCondition, V1PodStatus } from '@kubernetes/client-node';
import { net } from '../addresses.ts';
import type { Image } from '../images.ts';
import { core, idOf, isStatus, mergePatch } from '../kube.ts';
import { makePodNetwork, type PodNetwork } from '../network.ts';
import { inState, name } from '../place.ts';
import { Container, freshLogs } from './container.ts';
import type { Place } from './sandbox.ts';
import { Volumes } from './volumes.ts';

const isSidecar = (spec: V1Container) => spec.restartPolicy === 'Always';

export class PodRunner {
  readonly pod: V1Pod;
  readonly volumes: Volumes;
  readonly #images: Image[];
  readonly #startTime = new Date();
  #network: PodNetwork | undefined;
  #init: Container[] = [];
  #main: Container[] = [];
  #initialized = false;
  #final: 'Succeeded' | 'Failed' | undefined;
  #message: string | undefined;
  #terminating: Promise<void> | undefined;
  #gone = false;
  #readyAt = new Map<string, { status: string; at: Date }>();
  #reporting = false;
  #dirty = false;

  constructor(pod: V1Pod, images: Image[]) {
    this.pod = pod;
    this.#images = images;
    this.volumes = new Volumes(pod, inState('pods', idOf(pod).uid));
  }

  get #ending(): boolean {
    return this.#terminating !== undefined;
  }

  get id(): string {
    return `${idOf(this.pod).namespace}/${idOf(this.pod).name}`;
  }

  get containers(): Container[] {
    return [...this.#init, ...this.#main];
  }

  container(name: string | null): Container | undefined {
    return name ? this.containers.find((c) => c.spec.name === name) : this.#main[0];
  }

  async run(): Promise<void> {
    try {
      await this.#run();
    } catch (error) {
      if (this.#gone || this.#ending) return;
      this.#message = (error as Error).message;
      this.#final = 'Failed';
      console.error(`${this.id}: ${(error as Error).stack}`);
    }
    this.#report();
  }

  async #run(): Promise<void> {
    const place = await this.#prepare();
    if (!place) return;
    const make = (spec: V1Container) => new Container(spec, place, this.#images, () => this.#report());
    this.#init = (this.pod.spec?.initContainers ?? []).map(make);
    this.#main = (this.pod.spec?.containers ?? []).map(make);
    const policy = this.pod.spec?.restartPolicy ?? 'Always';
    this.#report();
    for (const container of this.#init) {
      if (this.#ending) return;
      if (isSidecar(container.spec)) await this.#untilStarted(container);
      else if ((await container.keep((code) => code !== 0 && policy !== 'Never')) !== 0) {
        await this.#finish('Failed');
        return;
      }
    }
    if (this.#ending) return;
    this.#initialized = true;
    const codes = await Promise.all(
      this.#main.map((c) => c.keep((code) => policy === 'Always' || (policy === 'OnFailure' && code !== 0))),
    );
    if (!this.#ending) await this.#finish(codes.every((code) => code === 0) ? 'Succeeded' : 'Failed');
  }

  /** Network and volumes; what a volume needs may come later than the pod. */
  async #prepare(): Promise<Place | undefined> {
    freshLogs(idOf(this.pod).namespace, idOf(this.pod).name);
    this.#network = await makePodNetwork(name);
    if (this.#gone) await this.#network.remove();
    this.#report();
    let said = '';
    while (!this.#ending) {
      try {
        await this.volumes.prepare(this.#network.address);
        return { pod: this.pod, network: this.#network, volumes: this.volumes };
      } catch (error) {
        const [message = ''] = (error as Error).message.split('\n');
        if (message !== said) console.log(`${this.id}: waiting for volumes: ${message}`);
        said = message;
        await sleep(300);
      }
    }
    return undefined;
  }

  async #untilStarted(container: Container): Promise<void> {
    void container.keep(() => true);
    while (!container.started && !this.#ending) await sleep(20);
  }

  async #finish(phase: 'Succeeded' | 'Failed'): Promise<void> {
    await this.#stopSidecars(Date.now() + this.#graceMs());
    this.#final = phase;
    this.#report();
  }

  #graceMs(): number {
    return (this.pod.metadata?.deletionGracePeriodSeconds ?? this.pod.spec?.terminationGracePeriodSeconds ?? 30) * 1000;
  }

  /** Sidecars stop after the containers they serve, the last one first. */
  async #stopSidecars(deadline: number): Promise<void> {
    for (const sidecar of this.#init.filter((c) => isSidecar(c.spec)).reverse())
      await sidecar.stop(Math.max(2000, deadline - Date.now()));
  }

  /** Stops everything within the grace period, then takes the object away. */
  terminate(graceSeconds: number): Promise<void> {
    this.#terminating ??= this.#terminate(graceSeconds);
    return this.#terminating;
  }

  async #terminate(graceSeconds: number): Promise<void> {
    const deadline = Date.now() + graceSeconds * 1000;
    const plainInit = this.#init.filter((c) => !isSidecar(c.spec));
    await Promise.all([...this.#main, ...plainInit].map((c) => c.stop(graceSeconds * 1000)));
    await this.#stopSidecars(deadline);
    this.#report();
    await this.#reported();
    const { name, namespace, uid } = idOf(this.pod);
    await core
      .deleteNamespacedPod({
        name,
        namespace,
        body: { gracePeriodSeconds: 0, preconditions: { uid } },
      })
      .catch((error) => {
        if (!isStatus(error, 404, 409)) console.error(`${this.id}: removing the object: ${error.message}`);
      });
    await this.discard();
  }

  /** The object is gone: nothing of the pod may stay. */
  async discard(): Promise<void> {
    if (this.#gone) return;
    this.#gone = true;
    this.#terminating ??= Promise.resolve();
    for (const container of this.containers) container.kill();
    await Promise.all(this.containers.map((c) => c.stop(0)));
    await this.#network?.remove();
    this.volumes.remove();
  }

  #report(): void {
    this.#dirty = true;
    if (!this.#reporting) void this.#sendReports();
  }

  async #reported(): Promise<void> {
    for (let i = 0; i < 100 && (this.#reporting || this.#dirty); i++) await sleep(20);
  }

  async #sendReports(): Promise<void> {
    this.#reporting = true;
    while (this.#dirty && !this.#gone) {
      this.#dirty = false;
      const { name, namespace } = idOf(this.pod);
      try {
        await core.patchNamespacedPodStatus(
          {
            name,
            namespace,
            body: { metadata: { uid: idOf(this.pod).uid }, status: this.#status() },
          },
          mergePatch,
        );
      } catch (error) {
        if (isStatus(error, 404, 409)) break;
        console.error(`${this.id}: status: ${(error as Error).message}`);
        this.#dirty = true;
        await sleep(500);
      }
    }
    this.#reporting = false;
  }

  #status(): V1PodStatus {
    const ip = this.#network?.address;
    const serving = [...this.#main, ...this.#init.filter((c) => isSidecar(c.spec))];
    const ready = this.#initialized && !this.#final && serving.length > 0 && serving.every((c) => c.ready);
    const done = this.#final !== undefined;
    const ownConditions = [
      this.#condition('PodScheduled', true),
      this.#condition('PodReadyToStartContainers', ip !== undefined && !done),
      this.#condition('Initialized', this.#initialized),
      this.#condition('ContainersReady', ready),
      this.#condition('Ready', ready),
    ];
    return {
      phase:
        this.#final ??
        (this.#initialized && this.#main.some((c) => c.runs || c.restarts > 0 || c.exitCode !== undefined)
          ? 'Running'
          : 'Pending'),
      ...(this.#message === undefined ? {} : { message: this.#message }),
      conditions: ownConditions,
      hostIP: net.node,
      hostIPs: [{ ip: net.node }],
      ...(ip === undefined ? {} : { podIP: ip, podIPs: [{ ip }] }),
      startTime: this.#startTime,
      initContainerStatuses: this.#init.map((c) =>
        isSidecar(c.spec) ? c.status() : { ...c.status(), ready: c.exitCode === 0 },
      ),
      containerStatuses: this.#main.map((c) => c.status()),
    };
  }

  #condition(type: string, value: boolean): V1PodCondition {
    const status = value ? 'True' : 'False';
    const before = this.#readyAt.get(type);
    const seen = before?.status === status ? before : { status, at: new Date() };
    this.#readyAt.set(type, seen);
    return { type, status, lastTransitionTime: seen.at };
  }
}
