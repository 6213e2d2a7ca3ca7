// pg-boss: insert() in bulk, work() with large batches and in bursts, woken by LISTEN/NOTIFY.

import { PgBoss } from "pg-boss";
import { Count, chunks, full, oneByOne, serve } from "./peer.mjs";

const QUEUE = "noop";
const CHUNK = 5000;
// Two fetches at once: the next batch is fetched while one is completed.
const WORK = {
  batchSize: 2000,
  localConcurrency: 2,
  burstWhenBatchFull: true,
  pollingIntervalSeconds: 0.5,
  notifyPollingIntervalSeconds: 0.5,
};

let boss;

const contestant = {
  async prepare(connectionString) {
    boss = new PgBoss({ connectionString, useListenNotify: true, schedule: false });
    boss.on("error", console.error);
    await boss.start();
    await boss.createQueue(QUEUE, { notify: true });
  },

  async create(count) {
    const began = performance.now();
    for (const [from, to] of chunks(count, CHUNK)) {
      const jobs = [];
      for (let n = from; n < to; n++) jobs.push({ data: { n } });
      await boss.insert(QUEUE, jobs);
    }
    return (performance.now() - began) / 1000;
  },

  async drain(count, seconds) {
    const counted = new Count(count);
    await boss.work(QUEUE, WORK, async (jobs) => {
      counted.add(jobs.map((job) => job.data.n));
    });
    await full(counted, seconds);
    // Returns after the commit of the current batch.
    await boss.offWork(QUEUE, { wait: true });
    return counted.result();
  },

  async latency(count, pause) {
    const started = {};
    await boss.work(QUEUE, async () => started.call());
    try {
      return await oneByOne(count, pause, started, (n) => boss.send(QUEUE, { n }));
    } finally {
      await boss.offWork(QUEUE, { wait: true });
    }
  },

  close: async () => boss?.stop({ graceful: false }),
};

await serve(contestant);
