// What the doctor says: one sentence about one thing, and what to do.

/** `problem`: does not work, or not after a switch. `unknown`: could not be looked at. */
export type Level = 'problem' | 'warning' | 'unknown' | 'ok';

export type Finding = { level: Level; about: string; text: string; cure?: string };

export const problem = (about: string, text: string, cure: string): Finding => ({
  level: 'problem',
  about,
  text,
  cure,
});
export const warning = (about: string, text: string, cure: string): Finding => ({
  level: 'warning',
  about,
  text,
  cure,
});
export const unknown = (about: string, text: string): Finding => ({ level: 'unknown', about, text });
export const ok = (about: string, text: string): Finding => ({ level: 'ok', about, text });
