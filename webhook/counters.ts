// Counters and durations of a process in the text format of Prometheus.

export type Counters = {
  /** Adds one to the counter of that name with these labels. */
  add(name: string, labels: Record<string, string>): void;
  /** Notes how long something took, in the histogram of that name with these labels. */
  took(name: string, labels: Record<string, string>, seconds: number): void;
  /** Everything, sorted, one line each, under TYPE lines. */
  text(): string;
};

/** Upper ends, seconds: around the goal of 5 ms, and up to what the API server waits at most. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];

/** `within[i]` counts what took no longer than BUCKETS[i]. */
type Durations = { within: number[]; sum: number; count: number };

/** Names and label values are ours, never a user's: that bounds the memory. */
export function createCounters(): Counters {
  const counters = new Map<string, Map<string, number>>();
  const histograms = new Map<string, Map<string, Durations>>();
  return {
    add(name, labels) {
      const family = familyOf(counters, name);
      const key = keyOf(labels);
      family.set(key, (family.get(key) ?? 0) + 1);
    },
    took(name, labels, seconds) {
      const family = familyOf(histograms, name);
      const key = keyOf(labels);
      const { within, sum, count } = family.get(key) ?? { within: BUCKETS.map(() => 0), sum: 0, count: 0 };
      const counted = within.map((times, at) => (seconds <= (BUCKETS[at] ?? 0) ? times + 1 : times));
      family.set(key, { within: counted, sum: sum + seconds, count: count + 1 });
    },
    text() {
      const families = [
        ...[...counters].map(([name, family]) => [name, 'counter', counterLines(name, family)] as const),
        ...[...histograms].map(([name, family]) => [name, 'histogram', histogramLines(name, family)] as const),
      ];
      return families
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, type, lines]) => `# TYPE ${name} ${type}\n${lines.join('')}`)
        .join('');
    },
  };
}

function counterLines(name: string, family: Map<string, number>): string[] {
  return [...family].map(([labels, count]) => `${name}{${labels}} ${count}\n`).sort();
}

function histogramLines(name: string, family: Map<string, Durations>): string[] {
  return [...family]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([labels, { within, sum, count }]) => [
      ...BUCKETS.map((end, at) => `${name}_bucket{${labels},le="${end}"} ${within[at]}\n`),
      `${name}_bucket{${labels},le="+Inf"} ${count}\n`,
      `${name}_sum{${labels}} ${sum}\n`,
      `${name}_count{${labels}} ${count}\n`,
    ]);
}

function familyOf<T>(families: Map<string, Map<string, T>>, name: string): Map<string, T> {
  const family = families.get(name) ?? new Map<string, T>();
  families.set(name, family);
  return family;
}

function keyOf(labels: Record<string, string>): string {
  return Object.entries(labels)
    .map(([label, value]) => `${label}=${JSON.stringify(value)}`)
    .join();
}
