// Entry point of the image: picks the program by the first argument and loads no other.
import { writeSync } from 'node:fs';
import { type Outcome, runProgram } from './api/wire/process.ts';
import { CODECS_COMMAND } from './sidecar/codecs.ts';

const USAGE = `usage: cellar COMMAND [FLAGS]

  operator          the plugin's Deployment: CNPG-I services and admission webhook
  instance          the sidecar of an instance Pod
  restore           the sidecar of a recovery Job
  healthcheck unix  ask the sidecar's socket for its health
  validate -f FILE… judge ObjectStores, Clusters, Backups and ScheduledBackups in YAML files
  doctor            tell of each Cluster of your kubeconfig whether it is ready, and why not
  codecs            load the library of every codec; the sidecar runs it at start
`;

runProgram(() => dispatch(process.argv.slice(2)));

async function dispatch([command, ...args]: string[]): Promise<Outcome> {
  switch (command) {
    case 'operator': {
      const { runOperator } = await import('./injector/main.ts');
      return runOperator(args, process.env);
    }
    case 'instance':
    case 'restore': {
      const { runSidecar } = await import('./sidecar/main.ts');
      return runSidecar(command, args, process.env);
    }
    case 'healthcheck': {
      const { checkHealth } = await import('./sidecar/health-check.ts');
      const { exitStatus, sentence } = await checkHealth(args, process.env);
      if (exitStatus !== 0) writeSync(2, `cellar: ${sentence}\n`);
      return exitStatus;
    }
    case 'validate': {
      const { runValidate } = await import('./cli/main.ts');
      return runValidate(args);
    }
    case 'doctor': {
      const { runDoctorCommand } = await import('./cli/doctor/main.ts');
      return runDoctorCommand(args, process.env);
    }
    case CODECS_COMMAND: {
      const { loadCodecLibraries } = await import('./sidecar/stream/libraries.ts');
      await loadCodecLibraries();
      return 0;
    }
    default:
      writeSync(2, command === undefined ? USAGE : `cellar: unknown command ${JSON.stringify(command)}\n\n${USAGE}`);
      return 2;
  }
}
