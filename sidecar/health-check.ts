// `healthcheck unix`: what the startup probe runs in the sidecar's container (cnpg-i-contract.md §9.1).
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { messageOf } from '../api/errors.ts';
import { PLUGIN_NAME, PLUGINS_MOUNT } from '../api/names.ts';
import { HealthClient, HealthCheckResponse_ServingStatus as Serving } from '../api/proto/gen/health.ts';
import { type Environment, readSettings } from '../api/wire/env.ts';

/** Below the 5 s that the probe allows. */
const DEADLINE_MS = 4_000;

const EXIT = { serving: 0, failed: 1, unknown: 2, notServing: 3, other: 125 } as const;

export type HealthVerdict = { exitStatus: number; sentence: string };

/** Asks the socket for its health once. Never throws. */
export async function checkHealth(
  args: readonly string[],
  env: Environment,
  deadlineMs: number = DEADLINE_MS,
): Promise<HealthVerdict> {
  if (args[0] !== 'unix' || args.length > 1) {
    return {
      exitStatus: EXIT.other,
      sentence: `usage: healthcheck unix (found: ${['healthcheck', ...args].join(' ')})`,
    };
  }
  const socket = join(readSettings(env).optional('CELLAR_PLUGINS_FOLDER', PLUGINS_MOUNT), PLUGIN_NAME);
  const client = new HealthClient(`unix:${socket}`, credentials.createInsecure());
  try {
    return verdictOf(await ask(client, deadlineMs));
  } catch (error) {
    return { exitStatus: EXIT.failed, sentence: `the call failed: ${messageOf(error)}` };
  } finally {
    client.close();
  }
}

function ask(client: HealthClient, deadlineMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    // The generated method with options also wants metadata; the deadline keeps a silent server from hanging the probe.
    const options = { deadline: Date.now() + deadlineMs };
    client.makeUnaryRequest(
      HealthClient.service.check.path,
      HealthClient.service.check.requestSerialize,
      HealthClient.service.check.responseDeserialize,
      { service: '' },
      options,
      (error, answer) => {
        if (error !== null || answer === undefined) reject(error ?? new Error('no answer'));
        else resolve(answer.status);
      },
    );
  });
}

function verdictOf(status: number): HealthVerdict {
  switch (status) {
    case Serving.SERVING:
      return { exitStatus: EXIT.serving, sentence: 'serving' };
    case Serving.UNKNOWN:
      return { exitStatus: EXIT.unknown, sentence: 'health unknown' };
    case Serving.NOT_SERVING:
      return { exitStatus: EXIT.notServing, sentence: 'not serving' };
    default:
      return { exitStatus: EXIT.other, sentence: `unexpected health status ${status}` };
  }
}
