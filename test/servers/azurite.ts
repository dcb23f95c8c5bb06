// A real Azurite on loopback for tests: the Blob service of Azure's own emulator as a process of its own, its data in
// memory. It runs with our Node, because it does not start with every version.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ContainerClient, StorageSharedKeyCredential } from '@azure/storage-blob';
import { freePort } from './free-port.ts';

export type TestAzurite = {
  /** Address of the account: `http://127.0.0.1:PORT/ACCOUNT`. */
  endpoint: string;
  account: string;
  /** In base64, as Azure shows keys. */
  key: string;
  connectionString: string;
  /** A client for what the port does not show. */
  container(name: string): ContainerClient;
  createContainer(name: string): Promise<void>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
};

const ACCOUNT = 'cellar';
const KEY = Buffer.from('the key of the emulator of the tests').toString('base64');
const START_LIMIT_MS = 60_000;
const ATTEMPTS = 3;

/** Starts it with an account of its own. */
export async function startAzurite(): Promise<TestAzurite> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-azurite-'));
  const { endpoint, stop } = await launch(folder);
  const container = (name: string) =>
    new ContainerClient(`${endpoint}/${name}`, new StorageSharedKeyCredential(ACCOUNT, KEY));
  return {
    ...{ endpoint, account: ACCOUNT, key: KEY, container },
    connectionString: `DefaultEndpointsProtocol=http;AccountName=${ACCOUNT};AccountKey=${KEY};BlobEndpoint=${endpoint};`,
    async createContainer(name) {
      await container(name).create();
    },
    async stop() {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** It takes no port 0: a port that was free a moment ago may be taken, and then another one is tried. */
async function launch(folder: string): Promise<{ endpoint: string; stop: () => Promise<void> }> {
  const program = createRequire(import.meta.url).resolve('azurite/dist/src/blob/main.js');
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    const flags = ['--silent', '--disableTelemetry', '--skipApiVersionCheck', '--inMemoryPersistence'];
    const child = spawn(process.execPath, [program, ...flags, '--blobPort', String(port)], {
      cwd: folder,
      env: { PATH: process.env.PATH ?? '', AZURITE_ACCOUNTS: `${ACCOUNT}:${KEY}` },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    const hear = (chunk: Buffer) => {
      said = (said + chunk).slice(-4_000);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    let over = false;
    const ended = new Promise<void>((resolve) => {
      child.once('error', resolve).once('close', resolve);
    }).then(() => {
      over = true;
    });
    // It must not outlive a test process that ends in the middle.
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    const stop = async () => {
      kill();
      await ended;
      process.off('exit', kill);
    };
    const origin = `http://127.0.0.1:${port}`;
    if (await answers(origin, () => over)) return { endpoint: `${origin}/${ACCOUNT}`, stop };
    await stop();
    if (attempt === ATTEMPTS) throw new Error(`Azurite does not start; it said: ${said}`);
  }
}

async function answers(origin: string, isOver: () => boolean): Promise<boolean> {
  const limit = AbortSignal.timeout(START_LIMIT_MS);
  while (!isOver()) {
    const isUp = await fetch(origin, { signal: limit }).then(
      () => true,
      () => false,
    );
    limit.throwIfAborted();
    if (isUp) return true;
    await setTimeout(50);
  }
  return false;
}
