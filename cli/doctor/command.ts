// The arguments of `cellar doctor`, and what it prints.
import { parseArgs } from 'node:util';
import { InvalidInputError, messageOf } from '../../api/errors.ts';
import { CNPG_GROUP, CNPG_VERSION } from '../../api/names.ts';
import type { Environment } from '../../api/wire/env.ts';
import { diagnose, isHealthy, renderDiagnosis } from './doctor.ts';
import { lookIntoStores, type OpenStore } from './look.ts';

export const DOCTOR_USAGE = `usage: cellar doctor [--all] [--stores] [-o json]

  Tells of each Cluster whether it is ready for Cellar (or for the way back), and why not. Changes nothing.
  Reads the cluster of your kubeconfig (KUBECONFIG); Clusters of forks by CUSTOM_CNPG_GROUP and CUSTOM_CNPG_VERSION.

  --all      what is well, too
  --stores   look into every store from here, with the credentials of its Secrets
  -o json    for programs

  Exit status 1 when something is a problem, 2 when the cluster cannot be read.
`;

const FLAGS = {
  all: { type: 'boolean', default: false },
  stores: { type: 'boolean', default: false },
  output: { type: 'string', short: 'o', default: 'text' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

export type DoctorPorts = { env: Environment; openStore: OpenStore; write: (text: string) => void };

/** Runs the doctor; the status is 0, or 1 when something is a problem. Throws InvalidInputError, and when nothing can be read. */
export async function runDoctor(args: readonly string[], { env, openStore, write }: DoctorPorts): Promise<number> {
  const flags = readFlags(args);
  if (flags.help) {
    write(DOCTOR_USAGE);
    return 0;
  }
  // The generated client takes a second to load: complaints about flags come before.
  const { KubeConfig } = await import('@kubernetes/client-node');
  const { readFacts } = await import('./read-facts.ts');
  const config = new KubeConfig();
  config.loadFromDefault();
  const api = { cnpgGroup: env.CUSTOM_CNPG_GROUP ?? CNPG_GROUP, cnpgVersion: env.CUSTOM_CNPG_VERSION ?? CNPG_VERSION };
  const facts = await readFacts(config, api);
  if (flags.stores) facts.looks = await lookIntoStores(facts, openStore);
  const diagnosis = diagnose(facts, Date.now());
  write(flags.output === 'json' ? `${JSON.stringify(diagnosis, null, 2)}\n` : renderDiagnosis(diagnosis, flags));
  return isHealthy(diagnosis) ? 0 : 1;
}

function readFlags(args: readonly string[]) {
  let flags: ReturnType<typeof parse>;
  try {
    flags = parse(args);
  } catch (error) {
    throw new InvalidInputError('arguments', args.join(' '), messageOf(error), { cause: error });
  }
  if (flags.output !== 'text' && flags.output !== 'json')
    throw new InvalidInputError('-o', flags.output, 'write text or json');
  return flags;
}

function parse(args: readonly string[]) {
  return parseArgs({ args: [...args], options: FLAGS }).values;
}
