// Schedules as the operator reads them: seconds first, five fields without a day of the week (robfig/cron's `Parse`).

const RANGES = [
  [0, 59],
  [0, 59],
  [0, 23],
] as const;

/** When a schedule of five fields really runs on a day that its date fields let through; undefined for any other. */
export function misreadSchedule(schedule: string): { timesADay: number; first: string[]; meant: string } | undefined {
  const fields = schedule.trim().split(/\s+/);
  if (fields.length !== 5) return undefined;
  const parts = RANGES.map(([least, most], index) => valuesOf(fields[index] ?? '', least, most));
  const [seconds, minutes, hours] = parts;
  if (!seconds?.length || !minutes?.length || !hours?.length) return undefined;
  return {
    timesADay: seconds.length * minutes.length * hours.length,
    first: firstTimes(hours, minutes, seconds),
    meant: ['0', ...fields.slice(0, 4), fields[4] === '7' ? '0' : fields[4]].join(' '),
  };
}

const SHOWN_TIMES = 2;

function firstTimes(hours: number[], minutes: number[], seconds: number[]): string[] {
  const times: string[] = [];
  for (const hour of hours) {
    for (const minute of minutes) {
      for (const second of seconds) {
        times.push([hour, minute, second].map((part) => String(part).padStart(2, '0')).join(':'));
        if (times.length === SHOWN_TIMES) return times;
      }
    }
  }
  return times;
}

/** `*`, `?`, `5`, `1-5`, every quarter, `1-30/5` and lists of them; undefined for what the operator refuses. */
function valuesOf(field: string, least: number, most: number): number[] | undefined {
  const values = new Set<number>();
  for (const item of field.split(',')) {
    const [, all, from, to, step] = /^(?:([*?])|(\d{1,2})(?:-(\d{1,2}))?)(?:\/(\d{1,2}))?$/.exec(item) ?? [];
    if (all === undefined && from === undefined) return undefined;
    const begin = all === undefined ? Number(from) : least;
    const open = all !== undefined || (to === undefined && step !== undefined);
    const end = open ? most : Number(to ?? from);
    const width = Number(step ?? 1);
    if (begin < least || end > most || begin > end || width < 1) return undefined;
    for (let value = begin; value <= end; value += width) values.add(value);
  }
  return [...values].sort((a, b) => a - b);
}
