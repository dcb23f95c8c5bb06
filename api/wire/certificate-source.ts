// Where the certificates of both doors come from: files that somebody else renews, or Secrets that we keep ourselves.
import { messageOf } from '../errors.ts';
import { readPairFiles } from './certificate-files.ts';
import type { CertificateKeeper, KeptMaterial } from './certificate-keeper.ts';
import type { KeyPair } from './certificates.ts';
import type { Log } from './log.ts';
import { type PinnedFiles, type PinnedMaterial, readPinnedFiles } from './pinned-credentials.ts';
import type { Running } from './process.ts';

/** What is in use now, PEM. */
export type CertificateSet = {
  plugin: PinnedMaterial;
  /** What CloudNativePG presents. */
  client: string;
  /** Undefined while there is no admission door. */
  webhook: KeyPair | undefined;
};

export type CertificateSource = Running & {
  current(): CertificateSet;
  /** Called after every change. */
  onChange(listener: (set: CertificateSet) => void): void;
};

export type CertificateFiles = { plugin: PinnedFiles; webhook: KeyPair | undefined };

/** Secrets that are mounted change within a minute; looking costs five small reads. */
const FILES_LOOK_MS = 10_000;

/**
 * Reads the files, and again and again until it is stopped. What does not fit together (caught between two writes) leaves the
 * former in use. Throws InvalidInputError when the first reading fails.
 */
export async function followFiles(
  files: CertificateFiles,
  options: { log: Log; lookMs?: number },
): Promise<CertificateSource> {
  const { log, lookMs = FILES_LOOK_MS } = options;
  const listeners: ((set: CertificateSet) => void)[] = [];
  let set = await readSet(files);
  let said = '';
  let looking: Promise<void> | undefined;
  const look = async (): Promise<void> => {
    try {
      const found = await readSet(files);
      said = '';
      if (JSON.stringify(found) === JSON.stringify(set)) return;
      set = found;
      for (const listener of listeners) listener(found);
    } catch (error) {
      const message = messageOf(error);
      if (message !== said) log.warn({ error: message }, 'certificates stay as they were');
      said = message;
    }
  };
  const timer = setInterval(() => {
    looking = look();
  }, lookMs);
  timer.unref();
  return {
    current: () => set,
    onChange: (listener) => void listeners.push(listener),
    async stop() {
      clearInterval(timer);
      await looking;
    },
  };
}

/** Goes on keeping what the keeper has made, until it is stopped. */
export function followKeeper(keeper: CertificateKeeper): CertificateSource {
  const running = keeper.start();
  return {
    current: () => setOf(keeper.current()),
    onChange: (listener) => keeper.onChange((material) => listener(setOf(material))),
    stop: () => running.stop(),
  };
}

async function readSet(files: CertificateFiles): Promise<CertificateSet> {
  const plugin = await readPinnedFiles(files.plugin);
  return { plugin, client: plugin.client, webhook: files.webhook && (await readPairFiles(files.webhook)) };
}

/** CloudNativePG may present whatever our authorities signed for clients: it learns of a new certificate when it likes. */
function setOf({ pairs, bundle }: KeptMaterial): CertificateSet {
  const { server, client, webhook } = pairs;
  if (server === undefined || client === undefined) throw new Error('the keeper keeps no certificates for CNPG-I');
  return { plugin: { ...server, client: bundle }, client: client.cert, webhook };
}
