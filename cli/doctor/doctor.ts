// The whole of what `cellar doctor` says, from what it has seen. Pure.
import { examineCluster, usesBarman } from './clusters.ts';
import { type Facts, itemsOf, placeOf } from './facts.ts';
import type { Finding } from './finding.ts';
import { examineInstallation } from './installation.ts';

export type Diagnosis = {
  installation: Finding[];
  /** Each Cluster that has to do with Barman, by `namespace/name`. */
  clusters: { cluster: string; ready: boolean; findings: Finding[] }[];
};

/** Judges a snapshot; `now` in milliseconds since 1970. A Cluster is ready when nothing about it is a problem. */
export function diagnose(facts: Facts, now: number): Diagnosis {
  const clusters = itemsOf(facts.clusters)
    .filter(usesBarman)
    .map((cluster) => {
      const findings = examineCluster(cluster, facts);
      return { cluster: placeOf(cluster), ready: !findings.some(({ level }) => level === 'problem'), findings };
    });
  return {
    installation: examineInstallation(facts, now),
    clusters: clusters.sort((a, b) => (a.cluster < b.cluster ? -1 : 1)),
  };
}

/** Whether anything is a problem. */
export function isHealthy({ installation, clusters }: Diagnosis): boolean {
  return clusters.every(({ ready }) => ready) && !installation.some(({ level }) => level === 'problem');
}

/** The diagnosis as people read it; what is well is one word unless `all` is wanted. */
export function renderDiagnosis(diagnosis: Diagnosis, { all = false } = {}): string {
  const lines = ['Installation', ...linesOf(diagnosis.installation, true), ''];
  lines.push(
    diagnosis.clusters.length === 0 ? 'No Cluster uses the plugin or the operator’s own archiver.' : 'Clusters',
  );
  for (const { cluster, ready, findings } of diagnosis.clusters) {
    lines.push(
      `  ${ready ? 'ready    ' : 'NOT READY'}  ${cluster}`,
      ...linesOf(findings, all).map((line) => `  ${line}`),
    );
  }
  return `${lines.join('\n')}\n`;
}

function linesOf(findings: Finding[], all: boolean): string[] {
  return findings
    .filter(({ level }) => all || level !== 'ok')
    .flatMap(({ level, about, text, cure }) => {
      const line = `  ${level.padEnd(9)}  ${about}: ${text}`;
      return cure === undefined ? [line] : [line, `             -> ${cure}`];
    });
}
