// How the process is: whether requests should be sent to it, and what it has counted.
export type Vitals = {
  phase: 'starting' | 'serving' | 'stopping';
  /** Each says why no request should be sent here, or undefined. */
  checks: (() => string | undefined)[];
  /** Each gives text in the format of Prometheus. */
  counted: (() => string)[];
  /** The first reason; undefined while all is well. */
  notReady(): string | undefined;
  metrics(): string;
};

export function createVitals(): Vitals {
  const vitals: Vitals = {
    phase: 'starting',
    checks: [],
    counted: [],
    notReady() {
      if (vitals.phase !== 'serving') return vitals.phase;
      return vitals.checks.map((check) => check()).find((reason) => reason !== undefined);
    },
    metrics: () => vitals.counted.map((text) => text()).join(''),
  };
  return vitals;
}
