// A proxy of ours between a client and an HTTP server on loopback that passes requests on, or makes them go wrong in a
// chosen way. It also records what passed, so that headers can be asserted that a test server does not keep.
import {
  type ClientRequest,
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

export type Seen = { method: string; path: string; query: URLSearchParams; headers: IncomingHttpHeaders };

/** What happens to one request. */
export type Fault =
  /** Passed on untouched. */
  | { kind: 'pass' }
  /** Kept waiting until `release`, then passed on. */
  | { kind: 'hold' }
  /** Answered by the proxy; the server never sees it. */
  | { kind: 'answer'; status: number; body?: string; headers?: Record<string, string> }
  /** The connection is reset before the server sees anything. */
  | { kind: 'reset' }
  /** The request's body ends (reset on both sides) after so many bytes. */
  | { kind: 'cut-request'; afterBytes: number }
  /** The first byte of the request's body arrives as another one. */
  | { kind: 'corrupt-request' }
  /** The server does the work, and its answer is lost. */
  | { kind: 'lose-answer' }
  /** The server does the work, and its answer never comes. */
  | { kind: 'keep-answer' }
  /** The server does the work, and its answer comes with other headers. */
  | { kind: 'change-answer'; headers: Record<string, string> }
  /** One byte of the answer's body arrives as another one. */
  | { kind: 'corrupt-answer'; atByte: number }
  /** The answer's body ends (reset) after so many bytes. */
  | { kind: 'cut'; afterBytes: number }
  /** The answer's body stays silent after so many bytes. */
  | { kind: 'stall'; afterBytes: number };

export type FaultProxy = {
  endpoint: string;
  seen: Seen[];
  /** Decides for every request from now on. */
  decide(rule: (seen: Seen) => Fault): void;
  /** Settles when a request is being held (at once when one is already). */
  held(): Promise<Seen>;
  /** Lets all held requests go on. */
  release(): void;
  stop(): Promise<void>;
};

/** An S3 error document, as `answer` wants it. */
export function s3Error(status: number, code: string, headers?: Record<string, string>): Fault {
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message><RequestId>fault-proxy</RequestId></Error>`;
  return { kind: 'answer', status, body, headers: { 'content-type': 'application/xml', ...headers } };
}

/** Starts a proxy on a free port in front of `target` (`http://host:port`). */
export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const upstream = new URL(target);
  const seen: Seen[] = [];
  const holding: { seen: Seen; go: () => void }[] = [];
  const watchers: ((seen: Seen) => void)[] = [];
  let rule: (seen: Seen) => Fault = () => ({ kind: 'pass' });

  const server = createServer((incoming, answer) => {
    const url = new URL(incoming.url ?? '/', target);
    const facts = {
      method: incoming.method ?? '',
      path: decodeURIComponent(url.pathname),
      query: url.searchParams,
      headers: incoming.headers,
    };
    seen.push(facts);
    const fault = rule(facts);
    if (fault.kind !== 'hold') return apply(fault, incoming, answer);
    holding.push({ seen: facts, go: () => apply({ kind: 'pass' }, incoming, answer) });
    for (const watcher of watchers.splice(0)) watcher(facts);
  });
  server.on('clientError', (_error, socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;

  function apply(fault: Fault, incoming: IncomingMessage, answer: ServerResponse): void {
    if (fault.kind === 'reset') {
      incoming.socket.resetAndDestroy();
      return;
    }
    if (fault.kind === 'answer') {
      incoming.resume();
      answer.writeHead(fault.status, fault.headers).end(fault.body);
      return;
    }
    forward(fault, incoming, answer);
  }

  function forward(fault: Fault, incoming: IncomingMessage, answer: ServerResponse): void {
    // The Host header stays the client's: it is part of what S3 clients sign.
    const options = { host: upstream.hostname, port: upstream.port, method: incoming.method, path: incoming.url };
    const outgoing = request({ ...options, headers: incoming.headers }, (response) => {
      if (fault.kind === 'lose-answer') {
        response.resume();
        response.once('end', () => incoming.socket.resetAndDestroy());
        return;
      }
      if (fault.kind === 'keep-answer') {
        response.resume();
        return;
      }
      const changed = fault.kind === 'change-answer' ? fault.headers : {};
      answer.writeHead(response.statusCode ?? 502, { ...response.headers, ...changed });
      answer.flushHeaders();
      let passed = 0;
      response.on('data', (chunk: Buffer) => {
        const limit = fault.kind === 'cut' || fault.kind === 'stall' ? fault.afterBytes : Number.POSITIVE_INFINITY;
        const rest = chunk.subarray(0, Math.max(0, limit - passed));
        if (fault.kind === 'corrupt-answer') flip(chunk, fault.atByte - passed);
        passed += rest.length;
        if (rest.length > 0) answer.write(rest);
        if (passed >= limit && fault.kind === 'cut') incoming.socket.resetAndDestroy();
      });
      response.once('end', () => {
        if (fault.kind !== 'stall') answer.end();
      });
      response.once('error', () => answer.destroy());
    });
    outgoing.once('error', () => answer.destroy());
    answer.once('close', () => outgoing.destroy());
    if (fault.kind === 'cut-request') cutBody(incoming, outgoing, fault.afterBytes);
    else if (fault.kind === 'corrupt-request') corruptBody(incoming, outgoing);
    else incoming.pipe(outgoing);
  }

  return {
    endpoint: `http://127.0.0.1:${port}`,
    seen,
    decide: (next) => {
      rule = next;
    },
    held: () =>
      new Promise((resolve) => {
        const first = holding[0];
        if (first !== undefined) resolve(first.seen);
        else watchers.push(resolve);
      }),
    release: () => {
      for (const { go } of holding.splice(0)) go();
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Changes the byte at an offset, if the chunk has it. */
function flip(chunk: Buffer, offset: number): void {
  const byte = chunk[offset];
  if (byte !== undefined) chunk[offset] = byte ^ 1;
}

function cutBody(incoming: IncomingMessage, outgoing: ClientRequest, afterBytes: number): void {
  let passed = 0;
  incoming.on('data', (chunk: Buffer) => {
    outgoing.write(chunk.subarray(0, Math.max(0, afterBytes - passed)));
    passed += chunk.length;
    if (passed < afterBytes) return;
    outgoing.destroy();
    incoming.socket.resetAndDestroy();
  });
}

function corruptBody(incoming: IncomingMessage, outgoing: ClientRequest): void {
  let first = true;
  incoming.on('data', (chunk: Buffer) => {
    const [byte = 0] = chunk;
    if (first) chunk[0] = byte ^ 1;
    first = false;
    outgoing.write(chunk);
  });
  incoming.once('end', () => outgoing.end());
}
