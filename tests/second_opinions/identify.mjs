// Sends identifies by Segment's library: node identify.mjs '{"modules", "host", "writeKey", "trait", "userIds", "oauthSettings"}'.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const order = JSON.parse(process.argv[2]);
const { Analytics } = createRequire(pathToFileURL(`${order.modules}/`))("@segment/analytics-node");
const { writeKey, host, oauthSettings, userIds, trait } = order;
const errors = [];
const analytics = new Analytics({ writeKey, host, oauthSettings: oauthSettings ?? undefined, maxRetries: 0 });
analytics.on("error", (error) => errors.push(String(error.code)));
for (const userId of userIds) analytics.identify({ userId, traits: { [trait]: true } });
await analytics.closeAndFlush({ timeout: 60000 });
console.log(JSON.stringify({ errors }));
process.exit(0); // its poller of tokens would keep the process
