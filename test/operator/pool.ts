// The operator's connections to one plugin: built by the whole handshake, probed whenever one is taken, at most five
// (cnpg-i-contract.md §2.2, §2.3).
import { setTimeout as delay } from 'node:timers/promises';
import { createSecureContext } from 'node:tls';
import { credentials as grpcCredentials } from '@grpc/grpc-js';
import { IdentityService, PluginCapability_Service_Type as Service } from '../../api/proto/gen/identity.ts';
import { type PluginConnection, shakeHands } from '../handshake.ts';
import type { Registration } from './discovery.ts';

export type Pool = {
  /** Lends a connection that has just answered a probe; give it back. Throws the last failure of five attempts. */
  take(): Promise<Lent>;
  /** How many connections are open. */
  size(): number;
  close(): void;
};

export type Lent = { connection: PluginConnection; giveBack(): void };

const MOST = 5;
const DEADLINE_MS = 30_000;
/** Before the second, third, fourth and fifth attempt. */
const WAITS_MS = [10, 50, 250, 1250];

/** Opens nothing yet. `resolve` says where a cluster's address leads on this machine. Tests of failures wait shorter. */
export function createPool(
  registration: Registration,
  resolve: (address: string) => string,
  waitsMs: readonly number[] = WAITS_MS,
): Pool {
  const idle: PluginConnection[] = [];
  const waiting: (() => void)[] = [];
  let open = 0;

  return {
    size: () => open,
    close() {
      for (const connection of idle.splice(0)) discard(connection);
    },
    async take() {
      for (const waitMs of waitsMs) {
        try {
          return await attempt();
        } catch {
          await delay(waitMs);
        }
      }
      return attempt();
    },
  };

  async function attempt(): Promise<Lent> {
    while (idle.length === 0 && open >= MOST) await new Promise<void>((free) => waiting.push(free));
    const connection = idle.pop() ?? (await build());
    try {
      await connection.call(IdentityService.probe, {});
    } catch (error) {
      discard(connection);
      throw error;
    }
    return {
      connection,
      giveBack() {
        idle.push(connection);
        waiting.shift()?.();
      },
    };
  }

  async function build(): Promise<PluginConnection> {
    open += 1;
    try {
      const connection = await connect(registration, resolve(registration.address));
      refuseUnusable(registration, connection);
      return connection;
    } catch (error) {
      open -= 1;
      waiting.shift()?.();
      throw error;
    }
  }

  function discard(connection: PluginConnection): void {
    connection.close();
    open -= 1;
    waiting.shift()?.();
  }
}

/** TLS 1.3; the server Secret's certificate is an anchor whoever issued it, the client Secret's is presented. */
function connect(registration: Registration, address: string): Promise<PluginConnection> {
  const { serverCertificate: ca, client, serverName } = registration;
  const context = createSecureContext({ ca, ...client, minVersion: 'TLSv1.3', allowPartialTrustChain: true });
  return shakeHands(address, grpcCredentials.createFromSecureContext(context), {
    deadlineMs: DEADLINE_MS,
    channel: { 'grpc.ssl_target_name_override': serverName, 'grpc.default_authority': serverName },
  });
}

const LONGEST_NAME = 63;

/** What makes the operator panic, or never find the plugin again. */
function refuseUnusable({ name }: Registration, { metadata, services, capabilities }: PluginConnection): void {
  if (metadata.name !== name) {
    throw new Error(
      `the plugin calls itself ${metadata.name}, its Service is labelled ${name}: it is never found again`,
    );
  }
  if (metadata.name.length > LONGEST_NAME || !/^[a-zA-Z0-9]([-.a-zA-Z0-9]*[a-zA-Z0-9])?$/.test(metadata.name)) {
    throw new Error(`the plugin's name ${metadata.name} is no domain-style name`);
  }
  for (const field of ['version', 'displayName', 'license', 'licenseUrl'] as const) {
    if (metadata[field] === '') throw new Error(`the plugin's metadata has no ${field}`);
  }
  if (services.has(Service.TYPE_UNSPECIFIED))
    throw new Error('a plugin capability carries no service: the operator panics');
  for (const answer of capabilities.values()) {
    const { capabilities: list = [] } = answer as { capabilities?: { rpc?: unknown }[] };
    if (list.some((capability) => 'rpc' in capability && capability.rpc === undefined)) {
      throw new Error('a capability carries no rpc: the operator panics');
    }
  }
}
