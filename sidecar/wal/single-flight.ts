// The same work asked for twice at a time is done once.

type Flight<T> = { result: Promise<T>; stop: AbortController; waiting: number };

/** Runs work by key; whoever asks for a key that is being worked on joins in and gets the same answer. */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>();

  /**
   * Starts or joins the work of a key. A caller that gives up gets its signal's reason at once if others still wait;
   * the work itself is stopped when the last of them has given up, and is waited for.
   */
  async run(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const flight = this.#flights.get(key) ?? this.#start(key, work);
    flight.waiting += 1;
    const { promise: given, reject: giveUp } = Promise.withResolvers<never>();
    given.catch(() => undefined);
    const leave = () => {
      flight.waiting -= 1;
      if (flight.waiting > 0) return giveUp(signal.reason);
      // Whoever asks again from here on starts anew instead of joining work that is being stopped.
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
      flight.stop.abort(signal.reason);
    };
    signal.addEventListener('abort', leave, { once: true });
    try {
      return await Promise.race([flight.result, given]);
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  #start(key: string, work: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const stop = new AbortController();
    const flight: Flight<T> = { stop, waiting: 0, result: work(stop.signal) };
    this.#flights.set(key, flight);
    const forget = () => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    flight.result.then(forget, forget);
    return flight;
  }
}
