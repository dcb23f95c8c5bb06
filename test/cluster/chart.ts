// The chart in a box: its image, which is this repository, and the real helm.
import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Box } from './box/box.ts';
import { type Image, nodeProgram } from './box/images.ts';
import { tool } from './tools.ts';

export const ROOT = dirname(dirname(import.meta.dirname));
export const CHART = join(ROOT, 'charts/cellar');
/** The namespace of CloudNativePG's operator, which is the chart's too. */
export const HOME = 'cnpg-system';

/** What stands for `cellar:TAG`; `folder` takes its entry point. */
export function cellarImage(folder: string): Image {
  const files = {
    '/app': ROOT,
    ...nodeProgram(join(folder, 'cellar'), '/manager', 'exec /node/bin/node /app/main.ts "$@"'),
  };
  return { match: 'cellar:', files, path: ['/node/bin'], entrypoint: ['/manager'], user: 65532, workdir: '/' };
}

/** The real helm, against the cluster. */
export async function helm(box: Box, ...args: string[]): Promise<void> {
  const [program = '', ...rest] = [...box.inside, tool('helm'), ...args];
  const env = { PATH: process.env.PATH ?? '', HOME: box.folder, KUBECONFIG: join(box.folder, 'kubeconfig') };
  await promisify(execFile)(program, rest, { env, timeout: 180_000 });
}
