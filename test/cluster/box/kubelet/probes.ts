/** Startup, readiness and liveness probes of one run of a container. */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { V1Container, V1Probe } from '@kubernetes/client-node';

export type Exec = (argv: string[], timeoutMs: number) => Promise<boolean>;

export interface Target {
  address: string;
  container: V1Container;
  exec: Exec;
  alive: () => boolean;
}

/** Probes until it has failed too often or, with `once`, until it has passed; false means failed. */
export async function watchProbe(
  probe: V1Probe,
  target: Target,
  changed: (ok: boolean) => void,
  once: boolean,
): Promise<boolean> {
  const {
    initialDelaySeconds = 0,
    periodSeconds = 10,
    failureThreshold = 3,
    successThreshold = 1,
    timeoutSeconds = 1,
  } = probe;
  await sleep(initialDelaySeconds * 1000);
  let passes = 0;
  let failures = 0;
  while (target.alive()) {
    const ok = await attempt(probe, target, timeoutSeconds * 1000);
    if (!target.alive()) break;
    passes = ok ? passes + 1 : 0;
    failures = ok ? 0 : failures + 1;
    if (passes >= successThreshold) {
      changed(true);
      if (once) return true;
    }
    if (failures >= failureThreshold) {
      changed(false);
      if (once) return false;
    }
    await sleep(periodSeconds * 1000);
  }
  return true;
}

async function attempt(probe: V1Probe, target: Target, timeoutMs: number): Promise<boolean> {
  if (probe.exec) return target.exec(probe.exec.command ?? [], timeoutMs);
  if (probe.httpGet) return httpGet(probe.httpGet, target, timeoutMs);
  if (probe.tcpSocket)
    return tcp(probe.tcpSocket.host ?? target.address, port(probe.tcpSocket.port, target.container), timeoutMs);
  throw new Error(`container ${target.container.name}: gRPC probes are not known here`);
}

function port(value: number | string, container: V1Container): number {
  if (typeof value === 'number') return value;
  const named = container.ports?.find((p) => p.name === value);
  if (!named) throw new Error(`container ${container.name} has no port named ${value}`);
  return named.containerPort;
}

function httpGet(get: NonNullable<V1Probe['httpGet']>, target: Target, timeout: number): Promise<boolean> {
  const send = get.scheme === 'HTTPS' ? httpsRequest : httpRequest;
  return new Promise((resolve) => {
    const headers = Object.fromEntries((get.httpHeaders ?? []).map(({ name, value }) => [name, value]));
    const request = send(
      {
        host: get.host ?? target.address,
        port: port(get.port, target.container),
        path: get.path ?? '/',
        headers,
        timeout,
        rejectUnauthorized: false,
        agent: false,
      },
      (response) => {
        response.resume();
        const { statusCode = 0 } = response;
        resolve(statusCode >= 200 && statusCode < 400);
      },
    );
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
    request.end();
  });
}

function tcp(host: string, portNumber: number, timeout: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port: portNumber, timeout }, () => done(true));
    const done = (ok: boolean) => {
      socket.destroy();
      resolve(ok);
    };
    socket.on('error', () => done(false));
    socket.on('timeout', () => done(false));
  });
}
