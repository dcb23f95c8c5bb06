/** One container of a pod: its runs, its restarts, its status. */

import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { V1Container, V1ContainerState, V1ContainerStatus } from '@kubernetes/client-node';
import { findImage, type Image } from '../images.ts';
import { idOf } from '../kube.ts';
import { inState } from '../place.ts';
import { type Target, watchProbe } from './probes.ts';
import { type Command, commandOf, enter, launch, type Place, type Running } from './sandbox.ts';

export type Restart = (exitCode: number) => boolean;

const longestPauseMs = 10_000;

export class Container {
  readonly spec: V1Container;
  restarts = 0;
  started = false;
  ready = false;
  oomKilled = false;
  #place: Place;
  #images: Image[];
  #changed: () => void;
  #state: V1ContainerState = { waiting: { reason: 'PodInitializing' } };
  #last: V1ContainerState | undefined;
  #stopping = false;
  #command: Command | undefined;
  #over: Promise<number> | undefined;
  running: Running | undefined;

  constructor(spec: V1Container, place: Place, images: Image[], changed: () => void) {
    this.spec = spec;
    this.#place = place;
    this.#images = images;
    this.#changed = changed;
  }

  get exitCode(): number | undefined {
    return this.#state.terminated?.exitCode;
  }

  get runs(): boolean {
    return this.#state.running !== undefined;
  }

  get log(): string {
    return logFile(idOf(this.#place.pod).namespace, idOf(this.#place.pod).name, this.spec.name, this.restarts);
  }

  status(): V1ContainerStatus {
    const { name, image = '' } = this.spec;
    return {
      name,
      image,
      imageID: image,
      ready: this.ready,
      started: this.started,
      restartCount: this.restarts,
      ...(this.running ? { containerID: `local://${idOf(this.#place.pod).uid}/${name}/${this.restarts}` } : {}),
      state: this.#state,
      lastState: this.#last ?? {},
    };
  }

  /** Runs until the container ends for good; gives the last exit code. Every start repeats what failed before it with a pause. */
  keep(restart: Restart): Promise<number> {
    this.#over ??= this.#keep(restart);
    return this.#over;
  }

  async #keep(restart: Restart): Promise<number> {
    for (let pause = 1000; ; pause = Math.min(pause * 2, longestPauseMs)) {
      const begun = Date.now();
      const code = await this.#run();
      if (this.#stopping || !restart(code)) return code;
      if (Date.now() - begun > 60_000) pause = 1000;
      this.#last = this.#state;
      this.#set({ waiting: { reason: 'CrashLoopBackOff', message: `exit code ${code}, next start in ${pause} ms` } });
      await sleep(pause);
      if (this.#stopping) return code;
      this.restarts++;
    }
  }

  async #run(): Promise<number> {
    let startedAt = new Date();
    try {
      const image = findImage(this.#images, this.spec.image ?? '');
      if (!image) throw new Error(`no image in the table fits ${this.spec.image}`);
      this.#command = await commandOf(this.#place, this.spec, image);
      this.running = await launch(this.#place, this.spec, image, this.#command, this.log);
    } catch (error) {
      this.#set(terminated(128, startedAt, 'ContainerCannotRun', (error as Error).message));
      return 128;
    }
    startedAt = new Date();
    this.#set({ running: { startedAt } });
    if (this.#stopping) this.running.signal('SIGKILL');
    void this.#probe(this.running);
    const code = await this.running.ended;
    this.running = undefined;
    this.started = this.ready = false;
    this.#set(terminated(code, startedAt, this.oomKilled ? 'OOMKilled' : code === 0 ? 'Completed' : 'Error'));
    this.oomKilled = false;
    return code;
  }

  async #probe(run: Running): Promise<void> {
    const { startupProbe, readinessProbe, livenessProbe } = this.spec;
    const alive = () => this.running === run && !this.#stopping;
    const target: Target = {
      address: this.#place.network.address,
      container: this.spec,
      alive,
      exec: (argv, ms) => this.#passes(argv, ms),
    };
    if (startupProbe && !(await watchProbe(startupProbe, target, () => undefined, true))) {
      run.signal('SIGKILL');
      return;
    }
    if (!alive()) return;
    this.started = true;
    this.ready = !readinessProbe;
    this.#changed();
    if (readinessProbe) {
      void watchProbe(
        readinessProbe,
        target,
        (ok) => {
          if (ok === this.ready) return;
          this.ready = ok;
          this.#changed();
        },
        false,
      );
    }
    if (livenessProbe) void this.#live(livenessProbe, target, run);
  }

  async #live(probe: NonNullable<V1Container['livenessProbe']>, target: Target, run: Running): Promise<void> {
    let failed = false;
    const whileAlive: Target = { ...target, alive: () => target.alive() && !failed };
    await watchProbe(probe, whileAlive, (ok) => (failed ||= !ok), false);
    if (!failed || !target.alive()) return;
    run.signal('SIGTERM');
    const grace = probe.terminationGracePeriodSeconds ?? this.#place.pod.spec?.terminationGracePeriodSeconds ?? 30;
    await Promise.race([run.ended, sleep(grace * 1000)]);
    run.signal('SIGKILL');
  }

  /** Sends SIGTERM, later SIGKILL, and never starts it again. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    const run = this.running;
    if (!run) return;
    if (graceMs > 0) {
      await this.#beforeStop(graceMs);
      run.signal('SIGTERM');
      const timer = new AbortController();
      await Promise.race([run.ended, sleep(graceMs, undefined, { signal: timer.signal }).catch(() => undefined)]);
      timer.abort();
    }
    run.signal('SIGKILL');
    await run.ended;
  }

  async #beforeStop(graceMs: number): Promise<void> {
    const hook = this.spec.lifecycle?.preStop;
    if (hook?.exec) await this.#passes(hook.exec.command ?? [], graceMs);
    if (hook?.sleep) await sleep(Math.min(graceMs, hook.sleep.seconds * 1000));
  }

  /** Ends it at once, even while `stop` is waiting. */
  kill(): void {
    this.#stopping = true;
    this.running?.signal('SIGKILL');
  }

  enter(argv: string[], stdin: boolean): ReturnType<typeof enter> {
    if (!this.running || !this.#command) throw new Error(`container ${this.spec.name} is not running`);
    return enter(this.running, this.#command, argv, stdin);
  }

  async #passes(argv: string[], timeoutMs: number): Promise<boolean> {
    if (!this.running) return false;
    const child = this.enter(argv, false);
    child.stdout?.resume();
    child.stderr?.resume();
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    const ok = await new Promise<boolean>((resolve) => {
      child.once('error', () => resolve(false));
      child.once('exit', (code) => resolve(code === 0));
    });
    clearTimeout(timer);
    return ok;
  }

  #set(state: V1ContainerState): void {
    this.#state = state;
    this.#changed();
  }
}

const terminated = (exitCode: number, startedAt: Date, reason: string, message?: string): V1ContainerState => ({
  terminated: { exitCode, reason, ...(message === undefined ? {} : { message }), startedAt, finishedAt: new Date() },
});

export const logDir = (namespace: string, pod: string) => inState('logs', 'pods', namespace, pod);
/** Puts aside the logs of an earlier pod of the same name. */
export function freshLogs(namespace: string, pod: string): void {
  const dir = logDir(namespace, pod);
  for (let n = 1; existsSync(dir); n++) if (!existsSync(`${dir}~${n}`)) renameSync(dir, `${dir}~${n}`);
  mkdirSync(dir, { recursive: true });
}

export const logFile = (namespace: string, pod: string, container: string, restart: number) =>
  `${logDir(namespace, pod)}/${container}.${restart}.log`;
