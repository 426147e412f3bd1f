// One worker process: node worker.mjs SOCKET CONCURRENCY
import { startWorkers } from "./works.mjs";

const [socket, concurrency] = process.argv.slice(2);
const workers = startWorkers(socket, Number(concurrency));
await Promise.all(workers.map((worker) => worker.waitUntilReady()));
process.send("ready");
process.on("disconnect", () => process.exit(0));
