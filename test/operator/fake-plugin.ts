// A plugin over the real transport whose answers a test chooses: what the operator's double must not put up with.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import { PLUGIN_NAME } from '../../api/names.ts';
import { IdentityService, PluginCapability_Service_Type as Service } from '../../api/proto/gen/identity.ts';
import {
  OperatorLifecycleService,
  OperatorOperationType_Type as Verb,
} from '../../api/proto/gen/operator_lifecycle.ts';
import { ReconcilerHooksResult_Behavior as Behavior, ReconcilerHooksService } from '../../api/proto/gen/reconciler.ts';
import { type GrpcService, startGrpcServer } from '../../api/wire/grpc.ts';
import { silentLog } from '../../api/wire/log.ts';
import { openPinnedCredentials } from '../../api/wire/pinned-credentials.ts';
import type { Registration } from './discovery.ts';
import { makeClientPair, makeServerPair } from './process.ts';

export type FakePlugin = {
  registration: Registration;
  address: string;
  /** `Pre`, `LifecycleHook`, … in the order in which they came. */
  calls: string[];
  /** From now on the next so many probes fail. */
  failProbes(count: number): void;
  stop(): Promise<void>;
};

/** What it says instead of what a good plugin would. */
export type Answers = {
  metadata?: Record<string, unknown>;
  capabilities?: unknown[];
  hook?: (verb: Verb) => unknown;
  pre?: { behavior: Behavior; requeueAfter?: number };
  post?: { behavior: Behavior; requeueAfter?: number };
};

const GOOD_METADATA = {
  ...{ name: PLUGIN_NAME, version: '1.0.0', displayName: 'Fake', description: '', license: 'Apache-2.0' },
  ...{
    licenseUrl: 'https://example.test/license',
    projectUrl: '',
    repositoryUrl: '',
    maturity: '',
    vendor: '',
    manifest: {},
  },
};

const GOOD_CAPABILITIES = [Service.TYPE_RECONCILER_HOOKS, Service.TYPE_LIFECYCLE_SERVICE].map((type) => ({
  service: { type },
}));

/** Starts it on a port of loopback, with certificates made on the spot. */
export async function startFakePlugin(answers: Answers = {}): Promise<FakePlugin> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-fake-plugin-'));
  const [server, client] = [await makeServerPair(), await makeClientPair()];
  const files = {
    serverCert: join(folder, 's.crt'),
    serverKey: join(folder, 's.key'),
    clientCert: join(folder, 'c.crt'),
  };
  await writeFile(files.serverCert, server.cert);
  await writeFile(files.serverKey, server.key);
  await writeFile(files.clientCert, client.cert);
  const log = silentLog();
  const calls: string[] = [];
  let failures = 0;
  const says = (name: string, answer: () => unknown) => [
    name,
    (_call: unknown, callback: (error: unknown, answer?: unknown) => void) => {
      calls.push(name);
      try {
        callback(null, answer());
      } catch (error) {
        callback({ code: 13, details: String(error) });
      }
    },
  ];
  const service = (definition: GrpcService['definition'], ...handlers: unknown[][]): GrpcService => ({
    definition,
    implementation: Object.fromEntries(handlers) as UntypedServiceImplementation,
  });
  const subscriptions = [
    { group: '', kind: 'Pod', operationTypes: [{ type: Verb.TYPE_CREATE }, { type: Verb.TYPE_EVALUATE }] },
    { group: 'batch', kind: 'Job', operationTypes: [{ type: Verb.TYPE_CREATE }] },
  ];
  let verb: Verb = Verb.TYPE_UNSPECIFIED;
  const hook = says('lifecycleHook', () => ({ jsonPatch: patchOf(answers.hook?.(verb)) }));
  const lifecycle = service(
    OperatorLifecycleService,
    says('getCapabilities', () => ({ lifecycleCapabilities: subscriptions })),
    [
      'lifecycleHook',
      (call: { request: { operationType?: { type: Verb } } }, callback: unknown) => {
        verb = call.request.operationType?.type ?? Verb.TYPE_UNSPECIFIED;
        (hook[1] as (call: unknown, callback: unknown) => void)(call, callback);
      },
    ],
  );
  const goOn = { behavior: Behavior.BEHAVIOR_CONTINUE, requeueAfter: 0 };
  const door = await startGrpcServer({
    services: [
      service(
        IdentityService,
        says('getPluginMetadata', () => ({ ...GOOD_METADATA, ...answers.metadata })),
        says('getPluginCapabilities', () => ({ capabilities: answers.capabilities ?? GOOD_CAPABILITIES })),
        says('probe', () => {
          failures -= 1;
          if (failures >= 0) throw new Error('not now');
          return { ready: true };
        }),
      ),
      lifecycle,
      service(
        ReconcilerHooksService,
        says('getCapabilities', () => ({ reconcilerCapabilities: [{ kind: 1 }, { kind: 2 }] })),
        says('pre', () => ({ ...goOn, ...answers.pre })),
        says('post', () => ({ ...goOn, ...answers.post })),
      ),
    ],
    address: { host: '127.0.0.1', port: 0 },
    credentials: await openPinnedCredentials(files, log),
    log,
  });
  return {
    registration: {
      ...{ name: PLUGIN_NAME, address: 'barman-cloud.cnpg-system.svc:9090', serverName: 'barman-cloud' },
      ...{ serverCertificate: server.cert, client },
    },
    address: door.address,
    calls,
    failProbes: (count) => {
      failures = count;
    },
    async stop() {
      await door.stop(0);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function patchOf(answer: unknown): Buffer {
  if (answer === undefined) return Buffer.alloc(0);
  return Buffer.from(typeof answer === 'string' ? answer : JSON.stringify(answer));
}
