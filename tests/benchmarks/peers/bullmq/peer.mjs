// BullMQ: node peer.mjs WORK COUNT --socket PATH --concurrency SLOTS; what it prints is told in ../common.py.
import { fork } from "node:child_process";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";
import { Queue, QueueEvents } from "bullmq";
import { connectionOf } from "./works.mjs";

const PATIENCE_MS = 120_000;
const WARM_UP = 20;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { socket: { type: "string" }, concurrency: { type: "string", default: "50" }, pool: { type: "string" } },
});
const [work, count] = [positionals[0], Number(positionals[1])];
const connection = connectionOf(values.socket);
const queue = new Queue("classify", { connection });
const seconds = (since) => Number(process.hrtime.bigint() - since) / 1e9;
const now = () => process.hrtime.bigint();

function startWorker() {
  return new Promise((ready) => {
    const child = fork(new URL("./worker.mjs", import.meta.url), [values.socket, values.concurrency]);
    child.once("message", () => ready(child));
  });
}

// Hears the ends of one queue's jobs and wakes who waits for them.
class Ends {
  constructor(name) {
    this.values = [];
    this.times = new Map();
    this.wakers = [];
    this.movedAt = Date.now();
    // From the first event: by default it misses what comes between its being ready and its first question.
    this.events = new QueueEvents(name, { connection, lastEventId: "0-0" });
    this.events.on("completed", ({ jobId, returnvalue }) => {
      this.values.push(returnvalue);
      this.times.set(jobId, (this.times.get(jobId) ?? 0) + 1);
      this.movedAt = Date.now();
      this.wakers = this.wakers.filter((wake) => !wake());
    });
  }

  // Resolves with how many there are once there are `goal`, or when nothing has moved for too long.
  reach(goal) {
    return new Promise((done) => {
      const check = () => this.values.length >= goal && (clearInterval(timer), done(this.values.length), true);
      const timer = setInterval(() => {
        if (Date.now() - this.movedAt < PATIENCE_MS) return;
        clearInterval(timer);
        done(this.values.length);
      }, 1000);
      if (!check()) this.wakers.push(check);
    });
  }
}

const jobs = (number, more) =>
  Array.from({ length: number }, (_, incident) => ({ name: "classify", data: { incident, ...more } }));
const same = (value, n) => JSON.stringify(value) === JSON.stringify([n, n]);
const problems = (found, wanted, what) => (found === wanted ? [] : [`${found} of ${wanted} ${what}`]);

async function all(ends, number, more) {
  const goal = ends.values.length + number;
  ends.movedAt = Date.now();
  await queue.addBulk(jobs(number, more));
  await ends.reach(goal);
  return ends.values.slice(goal - number);
}

function judged(found, number) {
  const left = found.map((value) => value[0]).sort((a, b) => a - b);
  const good = found.every((value) => same(value, value[0])) && left.every((value, n) => value === n);
  return good ? problems(found.length, number, "runs have their result") : ["a run has the result of another"];
}

const plays = {
  async latency(rollbacks) {
    const latencies_ms = [];
    const began = now();
    for (let incident = 0; incident < count; incident++) {
      const submitted = now();
      const goal = rollbacks.values.length + 1;
      await queue.add("classify", { incident });
      await rollbacks.reach(goal);
      latencies_ms.push(seconds(submitted) * 1000);
    }
    return { seconds: seconds(began), latencies_ms };
  },
  async triage(rollbacks) {
    const began = now();
    const found = await all(rollbacks, count, {});
    return { seconds: seconds(began), problems: judged(found, count) };
  },
  async waiting(rollbacks) {
    const began = now();
    const found = await all(rollbacks, count, { wait: true });
    return { seconds: seconds(began), problems: judged(found, count) };
  },
  async fan_out(rollbacks) {
    const began = now();
    const goal = rollbacks.values.length + 1;
    await queue.add("classify", { incident: 1, size: count });
    await rollbacks.reach(goal);
    return { seconds: seconds(began), problems: problems(rollbacks.values.at(-1), count, "results came to the join") };
  },
  async singles(_, classified) {
    const began = now();
    const found = await all(classified, count, { single: true });
    return { seconds: seconds(began), problems: problems(found.length, count, "jobs have their result") };
  },
  async killed(rollbacks) {
    const before = rollbacks.values.length;
    rollbacks.times.clear();
    const began = now();
    await queue.addBulk(jobs(count, {}));
    await rollbacks.reach(before + Math.floor(count / 2));
    workers[0].kill("SIGKILL");
    const died = now();
    await new Promise((done) => setTimeout(done, 1000));
    workers[0] = await startWorker();
    const done = (await rollbacks.reach(before + count)) - before;
    const twice = [...rollbacks.times.values()].filter((times) => times > 1).length;
    return { seconds: seconds(began), settled_sec: seconds(died), lost: count - done, twice };
  },
};

const [rollbacks, classified] = [new Ends("rollback"), new Ends("classify")];
await Promise.all([rollbacks, classified].map((ends) => ends.events.waitUntilReady()));
const workers = await Promise.all([startWorker(), startWorker()]);
await all(rollbacks, WARM_UP, {});
await classified.reach(WARM_UP);
const answer = await plays[work](rollbacks, classified);
const version = createRequire(import.meta.url)("bullmq/package.json").version;
console.log(
  JSON.stringify({
    problems: [],
    ...answer,
    versions: { bullmq: version, node: process.versions.node },
    settings: `flows; concurrency ${values.concurrency} of each queue's worker, two processes; settings by default`,
  }),
);
process.exit(0);
