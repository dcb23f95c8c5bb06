/** A pod's volumes as folders on this machine. */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { V1KeyToPath, V1Pod, V1Volume, V1VolumeProjection } from '@kubernetes/client-node';
import { core, idOf, isStatus } from '../kube.ts';
import { inState } from '../place.ts';
import { fieldValue, resourceValue } from './downward.ts';

interface File {
  content: Buffer;
  mode: number;
}
type Files = Map<string, File>;

export interface Rendered {
  files: Files;
  /** When a token among the files should be renewed, in ms since the epoch. */
  renewAt?: number;
}

export const claimDir = (namespace: string, name: string) => inState('pvc', namespace, name);

export class Volumes {
  readonly #pod: V1Pod;
  readonly #root: string;
  readonly #timers = new Set<NodeJS.Timeout>();
  #address = '';

  constructor(pod: V1Pod, root: string) {
    this.#pod = pod;
    this.#root = root;
  }

  /** Makes every volume; throws while something that one needs does not exist. */
  async prepare(address: string): Promise<void> {
    this.#address = address;
    for (const volume of this.#pod.spec?.volumes ?? []) await this.#prepare(volume);
  }

  path(volume: string): string {
    const claim = this.#pod.spec?.volumes?.find((v) => v.name === volume)?.persistentVolumeClaim;
    return claim ? claimDir(idOf(this.#pod).namespace, claim.claimName) : join(this.#root, volume);
  }

  /** Writes anew the volumes that hold the given Secret or ConfigMap. */
  async refresh(kind: 'secret' | 'configMap', name: string): Promise<void> {
    for (const volume of this.#pod.spec?.volumes ?? []) {
      const sources = [volume as V1VolumeProjection, ...(volume.projected?.sources ?? [])];
      const uses = sources.some(
        (s) =>
          (kind === 'secret'
            ? ((s.secret as { secretName?: string; name?: string } | undefined)?.secretName ?? s.secret?.name)
            : s.configMap?.name) === name,
      );
      if (uses) await this.#prepare(volume);
    }
  }

  remove(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    rmSync(this.#root, { recursive: true, force: true });
  }

  async #prepare(volume: V1Volume): Promise<void> {
    const dir = this.path(volume.name);
    if (volume.persistentVolumeClaim) {
      if (!existsSync(dir)) throw new Error(`claim ${volume.persistentVolumeClaim.claimName} is not bound`);
      this.#own(dir);
      return;
    }
    mkdirSync(dir, { recursive: true });
    if (volume.emptyDir) {
      chmodSync(dir, 0o777);
      this.#own(dir);
      return;
    }
    const rendered = await this.#render(volume);
    if (!rendered)
      throw new Error(
        `volume ${volume.name}: only emptyDir, persistentVolumeClaim, secret, configMap, downwardAPI and projected are known here`,
      );
    writeAtomically(dir, rendered.files, this.#pod.spec?.securityContext?.fsGroup);
    if (rendered.renewAt) this.#later(rendered.renewAt - Date.now(), () => this.#prepare(volume));
  }

  #own(dir: string): void {
    const group = this.#pod.spec?.securityContext?.fsGroup;
    if (group === undefined) return;
    chownSync(dir, -1, group);
    chmodSync(dir, 0o2775);
  }

  #later(ms: number, task: () => Promise<void>): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      task().catch(() => this.#later(10_000, task));
    }, ms);
    this.#timers.add(timer);
  }

  async #render(volume: V1Volume): Promise<Rendered | undefined> {
    const { secret, configMap, downwardAPI, projected } = volume;
    if (secret) return this.#source({ secret: { ...secret, name: secret.secretName ?? '' } }, secret.defaultMode);
    if (configMap) return this.#source({ configMap }, configMap.defaultMode);
    if (downwardAPI) return this.#source({ downwardAPI }, downwardAPI.defaultMode);
    if (!projected) return undefined;
    const all: Rendered = { files: new Map() };
    for (const source of projected.sources ?? []) {
      const { files, renewAt } = await this.#source(source, projected.defaultMode);
      for (const [path, file] of files) all.files.set(path, file);
      if (renewAt) all.renewAt = Math.min(all.renewAt ?? Infinity, renewAt);
    }
    return all;
  }

  async #source(source: V1VolumeProjection, mode = 0o644): Promise<Rendered> {
    const namespace = idOf(this.#pod).namespace;
    const { secret, configMap, downwardAPI, serviceAccountToken: token } = source;
    if (secret) {
      const found = await optional(secret.optional, () =>
        core.readNamespacedSecret({ namespace, name: secret.name ?? '' }),
      );
      return { files: pick(decoded(found?.data), secret.items, mode) };
    }
    if (configMap) {
      const found = await optional(configMap.optional, () =>
        core.readNamespacedConfigMap({ namespace, name: configMap.name ?? '' }),
      );
      const text = Object.entries(found?.data ?? {}).map(([k, v]) => [k, Buffer.from(v)] as const);
      return { files: pick(new Map([...text, ...decoded(found?.binaryData)]), configMap.items, mode) };
    }
    if (downwardAPI) {
      const files: Files = new Map();
      for (const item of downwardAPI.items ?? []) {
        const value = item.fieldRef
          ? fieldValue(this.#pod, item.fieldRef.fieldPath, this.#address)
          : resourceValue(this.#pod, item.resourceFieldRef ?? { resource: 'limits.memory' });
        files.set(item.path, { content: Buffer.from(value), mode: item.mode ?? mode });
      }
      return { files };
    }
    if (token) {
      const answer = await core.createNamespacedServiceAccountToken({
        namespace,
        name: this.#pod.spec?.serviceAccountName ?? 'default',
        body: {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenRequest',
          spec: {
            audiences: token.audience ? [token.audience] : [],
            expirationSeconds: token.expirationSeconds ?? 3600,
            boundObjectRef: {
              apiVersion: 'v1',
              kind: 'Pod',
              name: idOf(this.#pod).name,
              uid: idOf(this.#pod).uid,
            },
          },
        },
      });
      const seconds = token.expirationSeconds ?? 3600;
      return {
        files: new Map([[token.path, { content: Buffer.from(answer.status?.token ?? ''), mode }]]),
        renewAt: Date.now() + seconds * 800,
      };
    }
    throw new Error(`unknown projected source: ${Object.keys(source).join(', ')}`);
  }
}

async function optional<T>(mayMiss: boolean | undefined, get: () => Promise<T>): Promise<T | undefined> {
  try {
    return await get();
  } catch (error) {
    if (mayMiss && isStatus(error, 404)) return undefined;
    throw error;
  }
}

const decoded = (data: Record<string, string> = {}) =>
  new Map(Object.entries(data).map(([k, v]) => [k, Buffer.from(v, 'base64')]));

function pick(all: Map<string, Buffer>, items: V1KeyToPath[] | undefined, mode: number): Files {
  if (!items) return new Map([...all].map(([key, content]) => [key, { content, mode }]));
  return new Map(
    items.map((item) => {
      const content = all.get(item.key);
      if (!content) throw new Error(`key ${item.key} is missing`);
      return [item.path, { content, mode: item.mode ?? mode }];
    }),
  );
}

/** As a kubelet does it: a new folder, then one rename of the `..data` link, so that readers never see a mixture. */
function writeAtomically(dir: string, files: Files, group: number | undefined): void {
  if (unchanged(dir, files)) return;
  const fresh = mkdtempSync(join(dir, '..v'));
  chmodSync(fresh, 0o755);
  for (const [path, { content, mode }] of files) {
    const target = join(fresh, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, content);
    if (group !== undefined) chownSync(target, 0, group);
    chmodSync(target, group === undefined ? mode : mode | 0o440);
  }
  const data = join(dir, '..data');
  const old = existsSync(data) ? readlinkSync(data) : undefined;
  symlinkSync(basename(fresh), `${data}.new`);
  renameSync(`${data}.new`, data);
  const tops = new Set([...files.keys()].map(topOf));
  for (const top of tops) if (!readdirSync(dir).includes(top)) symlinkSync(join('..data', top), join(dir, top));
  for (const entry of readdirSync(dir)) if (!entry.startsWith('..') && !tops.has(entry)) rmSync(join(dir, entry));
  if (old) rmSync(join(dir, old), { recursive: true, force: true });
}

function unchanged(dir: string, files: Files): boolean {
  if (!existsSync(join(dir, '..data'))) return false;
  const present = readdirSync(dir).filter((entry) => !entry.startsWith('..'));
  const same = [...files].every(([path, { content }]) => {
    const at = join(dir, '..data', path);
    return existsSync(at) && readFileSync(at).equals(content);
  });
  return same && present.every((entry) => [...files.keys()].some((path) => topOf(path) === entry));
}

function topOf(path: string): string {
  return path.split('/', 1).join();
}
