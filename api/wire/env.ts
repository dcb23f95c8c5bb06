// Typed reading of settings. The environment is handed in: only a main.ts takes it from the process.
import { InvalidInputError } from '../errors.ts';

export type Environment = Record<string, string | undefined>;

export type IntegerLimits = { min: number; max: number };

/** Reads settings one by one. An empty value counts as missing. Every complaint names the variable. */
export type Settings = {
  /** The value; throws InvalidInputError when it is missing. */
  required(name: string): string;
  /** The value, or the fallback when it is missing. */
  optional(name: string, fallback: string): string;
  /** A whole number in decimal digits, or the fallback when it is missing; throws InvalidInputError on anything else. */
  integer(name: string, fallback: number, limits: IntegerLimits): number;
};

/** Wraps an environment. */
export function readSettings(env: Environment): Settings {
  return {
    required(name) {
      const value = env[name];
      if (!value) throw new InvalidInputError(name, value, 'set this environment variable');
      return value;
    },
    optional: (name, fallback) => env[name] || fallback,
    integer(name, fallback, limits) {
      const text = env[name];
      if (!text) return fallback;
      const value = Number(text);
      if (/^\d+$/.test(text) && value >= limits.min && value <= limits.max) return value;
      throw new InvalidInputError(name, text, `use a whole number from ${limits.min} to ${limits.max}`);
    },
  };
}

/** Limits of a TCP port that can be dialled. */
export const PORT_LIMITS: IntegerLimits = { min: 1, max: 65535 };
