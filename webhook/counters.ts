// Counters of a process in the text format of Prometheus.

export type Counters = {
  /** Adds one to the counter of that name with these labels. */
  add(name: string, labels: Record<string, string>): void;
  /** All counters, sorted, one line each, under their TYPE lines. */
  text(): string;
};

/** Names and label values are ours, never a user's: that bounds the memory. */
export function createCounters(): Counters {
  const families = new Map<string, Map<string, number>>();
  return {
    add(name, labels) {
      const family = families.get(name) ?? new Map<string, number>();
      families.set(name, family);
      const key = Object.entries(labels)
        .map(([label, value]) => `${label}=${JSON.stringify(value)}`)
        .join();
      family.set(key, (family.get(key) ?? 0) + 1);
    },
    text() {
      return [...families]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, family]) => {
          const lines = [...family].map(([labels, count]) => `${name}{${labels}} ${count}\n`);
          return `# TYPE ${name} counter\n${lines.sort().join('')}`;
        })
        .join('');
    },
  };
}
