// Runs SQL in Cloudflare's own engine: workerd, through Miniflare's D1.
//
// stdin:  {"groups": [[{"sql": "…", "params": […]}, …] or several statements as a batch, …]}: a group has a database of its own.
// stdout: [[{"results": [{"columns", "rows", "meta"}, …]} or {"error": "…"}, …], …]
//
// Statements go to the database's own /query endpoint, which D1's binding uses: it gives columns, rows and meta of
// every statement, as Cloudflare's REST API does.

import { Miniflare } from "miniflare";

const WORKER = `
async function answer(database, request) {
  const reply = await database.fetcher.fetch("http://d1/query?resultsFormat=ROWS_AND_COLUMNS", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
  });
  const text = await reply.text();
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    return { error: text };
  }
  const results = Array.isArray(found) ? found : [found];
  const failed = results.find((result) => !result.success);
  return failed ? { error: failed.error } : { results: results.map((r) => ({ ...r.results, meta: r.meta })) };
}

export default {
  async fetch(request, env) {
    const groups = await request.json();
    const run = async (cases, number) => {
      const outcomes = [];
      for (const each of cases) {
        outcomes.push(await answer(env["DB" + number], each).catch((thrown) => ({ error: String(thrown) })));
      }
      return outcomes;
    };
    return Response.json(await Promise.all(groups.map(run)));
  },
};
`;

const read = async (stream) => {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
};

const { groups } = JSON.parse(await read(process.stdin));
const miniflare = new Miniflare({
  modules: true,
  script: WORKER,
  compatibilityDate: "2026-01-01",
  d1Databases: Object.fromEntries(groups.map((_, number) => [`DB${number}`, `group-${number}`])),
});
try {
  const reply = await miniflare.dispatchFetch("http://localhost/", { method: "POST", body: JSON.stringify(groups) });
  if (!reply.ok) throw new Error(await reply.text());
  const outcomes = await reply.text();
  await new Promise((resolve) => process.stdout.write(outcomes, resolve));
} finally {
  await miniflare.dispose();
}
