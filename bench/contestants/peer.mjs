// Serves the measurements of a contestant on Node: `["drain", 20000]` a line in, `{"result": …}` a line out.
//
// stdout is for answers only; logs of libraries go to stderr. It exits at the end of stdin.

import { Console } from "node:console";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

globalThis.console = new Console(process.stderr, process.stderr);

/** Answer commands with the functions of `contestant` until stdin ends, then call its `close`. */
export async function serve(contestant) {
  for await (const line of createInterface({ input: process.stdin })) {
    const [what, ...given] = JSON.parse(line);
    let answer;
    try {
      answer = { result: (await contestant[what](...given)) ?? null };
    } catch (error) {
      console.error(error);
      answer = { failed: `${error}` };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
  await contestant.close();
  process.exit(0);
}

/** The counters of a drain and the time of the first call; `done` resolves when enough tasks were handled. */
export class Count {
  calls = 0;
  handled = 0;
  #seen = new Set();
  #began = 0;

  constructor(wanted) {
    this.wanted = wanted;
    this.done = new Promise((resolve) => (this.finish = resolve));
  }

  /** Count a handler call for the tasks with these numbers. */
  add(numbers) {
    if (this.calls === 0) this.#began = performance.now();
    this.calls += 1;
    this.handled += numbers.length;
    for (const number of numbers) this.#seen.add(number);
    if (this.handled >= this.wanted) this.finish();
  }

  /** Return the result, with the current time as its end. */
  result() {
    const seconds = (performance.now() - this.#began) / 1000;
    return { seconds, handled: this.handled, tasks: this.#seen.size, calls: this.calls };
  }
}

/** Return once `count` is full or `seconds` have passed. */
export async function full(count, seconds) {
  const giveUp = new AbortController();
  await Promise.race([count.done, sleep(seconds * 1000, undefined, { signal: giveUp.signal }).catch(() => {})]);
  giveUp.abort();
}

// Long enough for a queue that missed a notification to poll, which is a slow start and not a failure.
const START_SECONDS = 40;

/** Create tasks one at a time and return the seconds until each handler called `started.call()`. */
export async function oneByOne(count, pause, started, create) {
  const taken = [];
  for (let number = 0; number < count; number++) {
    const start = new Promise((resolve) => (started.call = () => resolve(performance.now())));
    const began = performance.now();
    await create(number);
    const at = await Promise.race([start, sleep(START_SECONDS * 1000, undefined, { ref: false })]);
    if (at === undefined) throw new Error(`task ${number} did not start in time`);
    taken.push((at - began) / 1000);
    await sleep(pause * 1000);
  }
  return taken;
}

/** Yield `[from, to)` ranges of at most `size` up to `count`. */
export function* chunks(count, size) {
  for (let from = 0; from < count; from += size) yield [from, Math.min(count, from + size)];
}
