// Step 3: the instance Pod that the operator would build goes through the lifecycle hook.
import type { Cluster } from '../../api/kube.ts';
import { SIDECAR_CONTAINER } from '../../api/names.ts';
import type { LocalPod } from '../kubelet.ts';
import { localPod } from '../kubelet.ts';
import { instancePod } from '../operator-objects.ts';
import { renderDifference } from './difference.ts';
import type { Parts } from './parts.ts';
import { expect, type Step } from './report.ts';

/** Builds the first Pod of a Cluster through the hooks and returns it as it would be created. */
export async function injectPod(step: Step, parts: Parts, cluster: Cluster): Promise<LocalPod> {
  await parts.operator.reconcile(cluster);
  const original = instancePod(cluster, { serial: 1, major: parts.programs.major });
  const { pod, operations } = await parts.operator.createPod(cluster, original);
  const name = pod.metadata?.name;
  step.say(`Pod ${name}: EVALUATE, then CREATE; RFC 6902 patch of ${operations.length} operations, applied:`);
  step.say(renderDifference(original.spec, pod.spec));

  const sidecars = (pod.spec.initContainers ?? []).filter((container) => container.name === SIDECAR_CONTAINER);
  expect(sidecars.length === 1, 'one sidecar after both hooks', `${sidecars.length}`);
  const again = await parts.operator.createPod(cluster, pod);
  expect(again.operations.length === 0, 'a second pass changes nothing', () => JSON.stringify(again.operations));
  return localPod(pod);
}
