// Asks the Public API by Segment's SDK: node public_api.mjs '{"modules", "host", "token", "calls": [["SourcesApi", "listSources", …], …]}'.
// Prints of each call what the SDK's unwrap returns, or its error.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const order = JSON.parse(process.argv[2]);
const sdk = createRequire(pathToFileURL(`${order.modules}/`))("@segment/public-api-sdk-typescript");
const answers = [];
for (const [api, method, ...parameters] of order.calls) {
  const client = new sdk[api](order.host);
  client.accessToken = order.token;
  const given = parameters.map((parameter) => parameter ?? undefined);
  try {
    answers.push({ data: await sdk.unwrap(client[method](...given)) });
  } catch (error) {
    answers.push({ error: { type: error.type, message: error.message, status: error.status } });
  }
}
console.log(JSON.stringify(answers));
