// Runs the npm package `dynamics-web-api`, as it is published, for a test: a line of JSON in, a line of JSON out.
//
//     node dynamics_web_api.mjs
//
// The variable READY holds the ready line of the sandbox. Node reads the private certification authority from
// NODE_EXTRA_CA_CERTS.

import { createInterface } from "node:readline";
import { DynamicsWebApi } from "dynamics-web-api";

const ready = JSON.parse(process.env.READY);

// That package leaves the sign-in to its caller. One token serves every call of the run.
let token;
async function bearer() {
  token ??= await signIn();
  return token;
}

async function signIn() {
  const answer = await fetch(`${ready.authority}/oauth2/v2.0/token`, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "client_credentials",
      client_id: ready.client_id,
      client_secret: ready.client_secret,
      scope: `${ready.url}/.default`,
    }),
  });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error_description);
  return found.access_token;
}

const client = new DynamicsWebApi({
  serverUrl: ready.url,
  dataApi: { version: "9.2" },
  onTokenRefresh: bearer,
});

// Between `startBatch` and `executeBatch` an operation is only recorded; its promise must not be awaited.
async function call(request) {
  if (!request.batch) return client[request.call](...(request.arguments ?? []));
  client.startBatch();
  for (const operation of request.batch) client[operation.call](...(operation.arguments ?? []));
  return client.executeBatch(request.options);
}

function describe(error) {
  const { message, status, code } = error;
  return { raised: error.constructor.name, message, status, code };
}

for await (const line of createInterface({ input: process.stdin })) {
  let outcome;
  try {
    outcome = { returned: (await call(JSON.parse(line))) ?? null };
  } catch (error) {
    // A batch fails with a list: one entry for each operation.
    outcome = Array.isArray(error) ? { failures: error.map(describe) } : describe(error);
  }
  process.stdout.write(`${JSON.stringify(outcome)}\n`);
}
