// Sends users by @segment/analytics-node: node send.mjs '{"modules", "host", "writeKey", "trait", "ids", "members", "settings"}'.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const order = JSON.parse(process.argv[2]);
const require = createRequire(pathToFileURL(`${order.modules}/`));
const { Analytics } = require("@segment/analytics-node");
const ids = readFileSync(order.ids, "utf8").split("\n").slice(0, order.members);
const memory = (field) => Number(readFileSync("/proc/self/status", "utf8").match(`${field}:\\s*(\\d+) kB`)[1]) / 1024;

let errors = 0;
const before = memory("VmRSS");
const cpuBefore = process.cpuUsage();
const began = process.hrtime.bigint();
const analytics = new Analytics({ writeKey: order.writeKey, host: order.host, ...order.settings });
analytics.on("error", () => { errors += 1; });
for (let index = 0; index < ids.length; index += 1) {
  analytics.identify({ userId: ids[index], traits: { [order.trait]: true } });
  // Its queue and its requests run only when the program lets go of the processor.
  if (index % order.pauseEvery === order.pauseEvery - 1) await new Promise(setImmediate);
}
await analytics.closeAndFlush({ timeout: 600000 });
const seconds = Number(process.hrtime.bigint() - began) / 1e9;
const cpu = process.cpuUsage(cpuBefore);
console.log(JSON.stringify({
  seconds,
  processor_seconds: (cpu.user + cpu.system) / 1e6,
  memory_added_mib: memory("VmHWM") - before,
  memory_peak_mib: memory("VmHWM"),
  errors,
}));
