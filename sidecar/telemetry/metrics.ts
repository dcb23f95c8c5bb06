// Counters and gauges in memory, from which every scrape is answered (cnpg-i-contract.md §5.5: names are used verbatim,
// a sample without a definition or with another number of labels ends the whole scrape).

export type MetricKind = 'counter' | 'gauge';
export type MetricDefinition = { name: string; help: string; kind: MetricKind; labels: readonly string[] };
/** `labels` are values, in the order of the definition. */
export type MetricSample = { name: string; labels: readonly string[]; value: number };

export type Counter = {
  /** Adds 1 or `amount`, under the values of the labels in the order of the definition. */
  add(labels?: readonly string[], amount?: number): void;
};
export type Gauge = { set(value: number, labels?: readonly string[]): void };

type Series = { definition: MetricDefinition; values: Map<string, MetricSample> };

/** What this process counts. One for each process; rooms declare their own metrics in it. */
export class Metrics {
  readonly #series = new Map<string, Series>();
  readonly #refreshes: (() => void)[] = [];

  /** Declares a counter. Without labels it is 0 from the start, so that a rate can be told from its first step. */
  counter(name: string, help: string, labels: readonly string[] = []): Counter {
    const series = this.#declare({ name, help, kind: 'counter', labels });
    return { add: (values = [], amount = 1) => put(series, values, (before) => before + amount) };
  }

  /** Declares a gauge; without labels it is 0 from the start. */
  gauge(name: string, help: string, labels: readonly string[] = []): Gauge {
    const series = this.#declare({ name, help, kind: 'gauge', labels });
    return { set: (value, values = []) => put(series, values, () => value) };
  }

  definitions(): MetricDefinition[] {
    return [...this.#series.values()].map(({ definition }) => definition);
  }

  /** Runs before samples are given, to set gauges to what is true now: from memory, and quickly. */
  beforeSamples(refresh: () => void): void {
    this.#refreshes.push(refresh);
  }

  samples(): MetricSample[] {
    for (const refresh of this.#refreshes) refresh();
    return [...this.#series.values()].flatMap(({ values }) => [...values.values()]);
  }

  /** Throws on a name that is declared twice: two series of one name would break the scrape. */
  #declare(definition: MetricDefinition): Series {
    if (this.#series.has(definition.name)) throw new Error(`the metric ${definition.name} is declared twice`);
    const series: Series = { definition, values: new Map() };
    this.#series.set(definition.name, series);
    if (definition.labels.length === 0) put(series, [], () => 0);
    return series;
  }
}

function put({ definition, values }: Series, labels: readonly string[], change: (before: number) => number): void {
  const { name } = definition;
  if (labels.length !== definition.labels.length) {
    throw new Error(`the metric ${name} has the labels ${definition.labels.join(', ')}: ${labels.length} values given`);
  }
  const key = JSON.stringify(labels);
  values.set(key, { name, labels, value: change(values.get(key)?.value ?? 0) });
}
