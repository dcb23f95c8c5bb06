// The HTTPS door of admission: limits, certificates, health, and an end that refuses nobody. Who is asked where: routes.ts.
import Fastify from 'fastify';
import { createCounters } from './counters.ts';
import { addRoutes, type RouteOptions } from './routes.ts';

export type WebhookOptions = RouteOptions & {
  host: string;
  /** 0 takes any free port. */
  port: number;
  /** PEM. */
  tls: { key: string; cert: string };
  /** Why no request should be sent here now, in a sentence; undefined while all is well. */
  notReady(): string | undefined;
  /** Counters of the rest of the process, text format of Prometheus. */
  otherMetrics?(): string;
  /** For tests that do not want to wait. */
  limits?: Partial<Limits>;
};

type Limits = {
  /** From connection to the end of the headers, the handshake included. */
  headersMs: number;
  /** Of a whole request. */
  requestMs: number;
};

export type Webhook = {
  url: string;
  /** Counters in the text format of Prometheus. */
  metrics(): string;
  /** Handshakes from now on see this certificate; connections that are open stay open. */
  renew(tls: { key: string; cert: string }): void;
  /** Goes on answering, and asks every caller to come back on a new connection: it will be to somebody else. */
  drain(): void;
  /** Takes no new connection, answers what has arrived, and closes; after 5 s the rest is cut off. */
  stop(): Promise<void>;
};

/** The API server sends no object above 1.5 MiB or so, and two of them in an update. */
const BODY_LIMIT_BYTES = 3 * 1024 * 1024;
const HEADERS_MS = 5_000;
const REQUEST_MS = 10_000;
/** Longer than the API server keeps its own idle connections busy between two requests. */
const KEEP_ALIVE_MS = 90_000;
const STOP_GRACE_MS = 5_000;
const MIN_TLS = 'TLSv1.2';

/** Starts it; throws what Node throws when the address is taken or the certificate is none. */
export async function startWebhook(options: WebhookOptions): Promise<Webhook> {
  const counters = createCounters();
  const app = createServer(options);
  let draining = false;
  app.addHook('onSend', async (_request, reply) => {
    if (draining) reply.header('connection', 'close');
  });
  const metrics = (): string => counters.text();
  addRoutes(app, options, counters);
  addHealth(app, options, metrics);
  const url = await app.listen({ host: options.host, port: options.port });
  return {
    ...{ url, metrics },
    renew: (tls) => app.server.setSecureContext({ ...tls, minVersion: MIN_TLS }),
    drain() {
      draining = true;
    },
    stop: () => stop(app),
  };
}

function createServer({ tls, limits = {} }: WebhookOptions) {
  const { headersMs = HEADERS_MS, requestMs = REQUEST_MS } = limits;
  return Fastify({
    https: {
      ...tls,
      minVersion: MIN_TLS,
      handshakeTimeout: headersMs,
      headersTimeout: headersMs,
      connectionsCheckingInterval: Math.min(1_000, headersMs),
    },
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: requestMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    // Connections that are open when we stop are answered as before, and closed after it.
    return503OnClosing: false,
    // Any JSON is a document to judge; nothing is ever merged into an object of ours.
    onProtoPoisoning: 'ignore',
    onConstructorPoisoning: 'ignore',
  });
}

type Server = ReturnType<typeof createServer>;

function addHealth(app: Server, { notReady, otherMetrics }: WebhookOptions, metrics: () => string): void {
  app.get('/healthz', async () => 'ok\n');
  app.get('/readyz', async (_request, reply) => {
    const reason = notReady();
    return reason === undefined ? 'ok\n' : reply.code(503).send(`${reason}\n`);
  });
  app.get('/metrics', async (_request, reply) => {
    return reply.type('text/plain; version=0.0.4').send(`${metrics()}${otherMetrics?.() ?? ''}`);
  });
}

async function stop(app: Server): Promise<void> {
  const timer = setTimeout(() => app.server.closeAllConnections(), STOP_GRACE_MS);
  try {
    await app.close();
  } finally {
    clearTimeout(timer);
  }
}
