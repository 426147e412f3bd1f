// The jobs of the works as BullMQ processors. A flow of BullMQ is a tree, and the graph is not: `classify` adds the flow that follows it.
import { FlowProducer, Worker } from "bullmq";

export const WAIT_MS = 5;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export function connectionOf(socket) {
  return { path: socket, db: 4, maxRetriesPerRequest: null };
}

export function startWorkers(socket, concurrency) {
  const connection = connectionOf(socket);
  const flows = new FlowProducer({ connection });
  const look = (data) => ({ name: "look", queueName: "look", data });
  const after = async (job, value) => {
    if (job.data.wait) await pause(WAIT_MS);
    return value;
  };
  const work = {
    classify: async (job) => {
      const { incident, wait, size } = job.data;
      const found = await after(job, { incident });
      if (job.data.single) return found;
      const children =
        size === undefined
          ? [look({ case: found, wait }), look({ case: found, wait })]
          : Array.from({ length: size }, (_, number) => look({ case: { incident: number } }));
      await flows.add({ name: "rollback", queueName: "rollback", data: { incident, wait, size }, children });
      return found;
    },
    look: async (job) => after(job, job.data.case),
    rollback: async (job) => {
      const found = Object.values(await job.getChildrenValues());
      if (job.data.size !== undefined) return after(job, found.length);
      return after(job, found.map((one) => one.incident));
    },
  };
  return Object.entries(work).map(([queue, processor]) => new Worker(queue, processor, { connection, concurrency }));
}
