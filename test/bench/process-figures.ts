// What the system knows about a process: CPU time and resident memory (proc(5)).
import { readFileSync, writeFileSync } from 'node:fs';

/** Ticks of `/proc/PID/stat` in a second, on every Linux that Node runs on. */
const TICKS = 100;

/** User and system time until now, seconds. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is a name in parentheses that may hold spaces: count from behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** Resident set now, MiB. */
export function residentMiB(pid: number): number {
  return status(pid, 'VmRSS');
}

/** The most that was resident since the start or since `forgetPeak`, MiB. */
export function peakMiB(pid: number): number {
  return status(pid, 'VmHWM');
}

/** Where the system lets us, the peak starts again from here; else it keeps what the start took. */
export function forgetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
  } catch {
    // Another user's process, or a kernel without it.
  }
}

function status(pid: number, field: string): number {
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kibibytes) / 1024;
}
