// One call of the operator double from inside of the box: a plugin and documents on standard input, the patched object on
// standard output. A program of its own, because the network of a cluster is entered by a process as a whole.
import { json } from 'node:stream/consumers';
import type { Cluster, Job, Pod } from '../../api/kube.ts';
import { connectOperator } from '../operator-double.ts';

/** `object` is what the operator is about to create; without it only the Pre hook is called. */
export type OperatorCall = {
  plugin: Parameters<typeof connectOperator>[0];
  cluster: Cluster;
  object?: Pod | Job;
};

const { plugin, cluster, object } = (await json(process.stdin)) as OperatorCall;
const operator = await connectOperator(plugin);
try {
  await operator.reconcile(cluster);
  let made: Pod | Job | undefined;
  if (object?.kind === 'Job') made = (await operator.createJob(cluster, object as Job)).job;
  else if (object !== undefined) made = (await operator.createPod(cluster, object as Pod)).pod;
  process.stdout.write(JSON.stringify(made ?? null));
} finally {
  operator.close();
}
