// Who may import whom (the table of the house), read from every import in the tree.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';

const ROOT = dirname(import.meta.dirname);

type Edge = { from: string; to: string; typeOnly: boolean };

/** Rooms and the rooms (or single files) that each may import. A room may always import itself. */
const MAY_IMPORT: Record<string, string[]> = {
  api: [],
  'api/wire': ['api'],
  webhook: ['api', 'api/wire', ...pureInjector()],
  injector: ['api', 'api/wire'],
  'sidecar/store': ['api', 'api/wire', 'sidecar/stream'],
  'sidecar/stream': ['api', 'api/wire', 'sidecar/store/store.ts'],
  'sidecar/telemetry': ['api', 'api/wire'],
  'sidecar/wal': ['api', 'api/wire', ...storePort(), 'sidecar/stream', 'sidecar/telemetry'],
  'sidecar/backup': ['api', 'api/wire', ...storePort(), 'sidecar/stream', 'sidecar/telemetry', 'sidecar/wal'],
  'sidecar/restore': ['api', 'api/wire', ...storePort(), 'sidecar/stream', 'sidecar/wal', 'sidecar/backup'],
  'sidecar/maintenance': ['api', 'api/wire', ...storePort(), 'sidecar/backup', 'sidecar/telemetry'],
  'sidecar/services': [
    'api',
    'api/wire',
    'sidecar/wal',
    'sidecar/backup',
    'sidecar/restore',
    'sidecar/telemetry',
    ...storePort(),
  ],
  sidecar: ['api', 'api/wire'],
  cli: ['api', 'api/wire'],
};

/** Packages that only some files may import: vendors stay behind their adapter, the generated client out of the sidecar. */
const PACKAGE_HOMES: Record<string, RegExp> = {
  '@aws-sdk/client-s3': /^sidecar\/store\/s3[a-z-]*\.ts$/,
  '@azure/identity': /^sidecar\/store\/azure[a-z-]*\.ts$/,
  '@azure/storage-blob': /^sidecar\/store\/azure[a-z-]*\.ts$/,
  'google-auth-library': /^sidecar\/store\/gcs[a-z-]*\.ts$/,
  '@kubernetes/client-node': /^(injector|cli\/doctor)\//,
  fastify: /^webhook\//,
  jsonpatch: /^(injector|webhook)\//,
  ajv: /^api\//,
  pg: /^sidecar\/backup\//,
  'tar-stream': /^sidecar\/(backup|restore)\//,
  pino: /^api\/wire\//,
  '@peculiar/x509': /^api\/wire\//,
};

/** The decision and what it is made of, without anything that talks to the API server. */
function pureInjector(): string[] {
  const files = ['decide', 'documents', 'inject', 'patch', 'pod-spec', 'reads'];
  return files.map((file) => `injector/${file}.ts`);
}

function storePort(): string[] {
  return ['sidecar/store/store.ts', 'sidecar/store/keys.ts', 'sidecar/store/archive.ts'];
}

const sources = await productSources();

test('every import stays within what its room may know', () => {
  const strangers = sources.flatMap(({ file, edges }) =>
    edges.filter((edge) => !allowed(file, edge.to)).map((edge) => `${file} imports ${edge.to}`),
  );
  assert.deepEqual(strangers, []);
});

test('vendor packages are imported by their own room only', () => {
  const strangers = sources.flatMap(({ file, packages }) =>
    packages
      .filter((name) => PACKAGE_HOMES[name] !== undefined && !isTest(file) && !PACKAGE_HOMES[name].test(file))
      .map((name) => `${file} imports ${name}`),
  );
  assert.deepEqual(strangers, []);
});

test('no file is part of an import cycle', () => {
  const graph = new Map(sources.map(({ file, edges }) => [file, edges.filter((e) => !e.typeOnly).map((e) => e.to)]));
  assert.deepEqual(findCycle(graph), undefined);
});

test('only a main.ts and tests read the environment of the process', () => {
  const readers = sources
    .filter(({ file, text }) => !isTest(file) && !/(^|\/)main\.ts$/.test(file) && text.includes('process.env'))
    .map(({ file }) => file);
  assert.deepEqual(readers, []);
});

async function productSources() {
  const found: { file: string; text: string; edges: Edge[]; packages: string[] }[] = [];
  const patterns = ['api', 'webhook', 'injector', 'sidecar', 'cli'].map((room) => `${room}/**/*.ts`);
  for await (const file of glob([...patterns, 'main.ts'], { cwd: ROOT })) {
    const text = readFileSync(join(ROOT, file), 'utf8');
    found.push({ file, text, ...importsOf(file, text) });
  }
  assert.ok(found.length > 20, 'the tree was not found');
  return found;
}

function importsOf(file: string, text: string): { edges: Edge[]; packages: string[] } {
  const edges: Edge[] = [];
  const packages: string[] = [];
  const statements = text.matchAll(/^(?:import|export)\s+(?:(type\s)?[^;']*?from )?'([^']+)'|import\('([^']+)'\)/gms);
  for (const [, type, from, dynamic] of statements) {
    const target = from ?? dynamic ?? '';
    if (target.startsWith('.')) {
      const to = relative(ROOT, join(ROOT, dirname(file), target));
      edges.push({ from: file, to, typeOnly: type !== undefined || dynamic !== undefined });
    } else if (!target.startsWith('node:')) {
      packages.push(target.split('/', target.startsWith('@') ? 2 : 1).join('/'));
    }
  }
  return { edges, packages };
}

/** Composition roots look across rooms; a test may use what is in test/ besides what its subject may. */
function allowed(file: string, to: string): boolean {
  if (/(^|\/)main\.ts$/.test(file) || !to.endsWith('.ts')) return true;
  if (isTest(file)) return true;
  const home = roomOf(file);
  const target = roomOf(to);
  if (home === target) return true;
  return (MAY_IMPORT[home] ?? []).some((entry) => entry === target || entry === to);
}

function isTest(file: string): boolean {
  return /\.test\.ts$/.test(file);
}

function roomOf(file: string): string {
  const [first = '', second = ''] = file.split('/');
  if (first === 'sidecar') return second.includes('.') ? 'sidecar' : `sidecar/${second}`;
  if (first === 'api' && second === 'wire') return 'api/wire';
  return first;
}

function findCycle(graph: Map<string, string[]>): string[] | undefined {
  const done = new Set<string>();
  const visit = (file: string, path: string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of graph.get(file) ?? []) {
      const cycle = visit(next, [...path, file]);
      if (cycle !== undefined) return cycle;
    }
    done.add(file);
    return undefined;
  };
  for (const file of graph.keys()) {
    const cycle = visit(file, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
