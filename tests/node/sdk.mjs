// Cloudflare's SDK for JavaScript against the server named by the environment; what came back, as one JSON document.
import Cloudflare from "cloudflare";

const account_id = process.env.CLOUDFLARE_ACCOUNT_ID;
const client = new Cloudflare({ maxRetries: 0 });
const { database } = client.d1;

async function refusal(call) {
  try {
    await call();
  } catch (error) {
    return { status: error.status, code: error.errors?.[0]?.code, kind: error.constructor.name };
  }
  return null;
}

async function all(pages) {
  const found = [];
  for await (const item of pages) found.push(item);
  return found;
}

const seen = {};
const made = await database.create({ account_id, name: "npm" });
seen.databases = (await all(database.list({ account_id }))).map((d) => d.name);
seen.described = (await database.get(made.uuid, { account_id })).num_tables;
const batch = [
  { sql: "CREATE TABLE t (v)" },
  { sql: "INSERT INTO t VALUES (?), (?)", params: ["a", "b"] },
  { sql: "SELECT v FROM t" },
];
seen.query = (await database.query(made.uuid, { account_id, batch })).result?.at(-1).results;
const [raw] = await all(database.raw(made.uuid, { account_id, sql: "SELECT 1 AS x, 2 AS x" }));
seen.raw = raw.results;
seen.failed = await refusal(() => database.query(made.uuid, { account_id, sql: "SELECT nope" }));
seen.bookmark = (await database.timeTravel.getBookmark(made.uuid, { account_id })).bookmark;
await database.delete(made.uuid, { account_id });
seen.gone = await refusal(() => database.get(made.uuid, { account_id }));

const { queue_id } = await client.queues.create({ account_id, queue_name: "npm" });
seen.queues = (await all(client.queues.list({ account_id }))).map((q) => q.queue_name);
seen.taken = await refusal(() => client.queues.create({ account_id, queue_name: "npm" }));
const consumer = await client.queues.consumers.create(queue_id, { account_id, type: "http_pull" });
seen.consumer = consumer.type;
const { messages } = client.queues;
await messages.push(queue_id, { account_id, body: { x: 1 } });
await messages.bulkPush(queue_id, { account_id, messages: [{ body: "plain", content_type: "text" }] });
const pulled = await messages.pull(queue_id, { account_id, batch_size: 10 });
seen.pulled = pulled.messages.map((m) => m.body);
seen.ack = await messages.ack(queue_id, { account_id, acks: pulled.messages.map(({ lease_id }) => ({ lease_id })) });
seen.metrics = await client.queues.getMetrics(queue_id, { account_id });
await client.queues.edit(queue_id, { account_id, settings: { delivery_paused: true } });
seen.paused = await refusal(() => messages.pull(queue_id, { account_id }));
await client.queues.purge.start(queue_id, { account_id, delete_messages_permanently: true });
await client.queues.delete(queue_id, { account_id });
console.log(JSON.stringify(seen));
