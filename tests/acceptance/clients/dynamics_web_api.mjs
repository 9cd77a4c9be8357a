// Runs the npm package `dynamics-web-api`, as it is published, on what a test asks: a line of JSON in, a line out.
//
//     node dynamics_web_api.mjs
//
// `READY` in the environment is what the sandbox printed when it was ready; Node reads the private certification
// authority from NODE_EXTRA_CA_CERTS.

import { createInterface } from "node:readline";
import { DynamicsWebApi } from "dynamics-web-api";

const ready = JSON.parse(process.env.READY);

// Signing in is left to the caller by that package. A token serves every call of the run.
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

// Operations between `startBatch` and `executeBatch` are only noted down: what they return is not to be waited for.
async function called(wish) {
  if (!wish.batch) return client[wish.do](...(wish.with ?? []));
  client.startBatch();
  for (const operation of wish.batch) client[operation.do](...(operation.with ?? []));
  return client.executeBatch(wish.options);
}

function failure(error) {
  const { message, status, code } = error;
  return { raised: error.constructor.name, message, status, code };
}

for await (const line of createInterface({ input: process.stdin })) {
  let outcome;
  try {
    outcome = { gave: (await called(JSON.parse(line))) ?? null };
  } catch (error) {
    // A batch fails with a list of what its operations came to.
    outcome = Array.isArray(error) ? { failures: error.map(failure) } : failure(error);
  }
  process.stdout.write(`${JSON.stringify(outcome)}\n`);
}
