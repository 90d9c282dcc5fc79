// One drain by Cloudflare's local stack: Miniflare, its queue in memory, its D1 in a folder.
//
//   node miniflare_drain.mjs NODE_MODULES MESSAGES FOLDER CONSUMER < schema.sql
//
// MESSAGES holds one message body (ten candles, JSON) a line. The first batch waits until all messages are in the queue,
// so that sending is not in the figure. stdout: {"rows": stored, "close": sum of their closes, "seconds": of the drain}

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, messages, folder, consumer] = process.argv.slice(2);
const { Miniflare } = createRequire(`${modules}/`)("miniflare");

const WORKER = `
const NAMES = ["symbol", "timestamp", "timeframe", "open", "high", "low", "close", "volumeFrom", "volumeTo", "source"];
const COLUMNS = "symbol, timestamp, timeframe, open, high, low, close, volume_from, volume_to, source";
const KEY = "symbol, timestamp, timeframe, source";

const consumers = {
  // As the original wrote it: a prepared statement a row, a hundred statements a batch.
  async single_rows(DB, candles) {
    const statement = DB.prepare(
      "INSERT OR IGNORE INTO price_data (" + COLUMNS + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    const bound = candles.map((candle) => statement.bind(...NAMES.map((name) => candle[name])));
    for (let start = 0; start < bound.length; start += 100) await DB.batch(bound.slice(start, start + 100));
  },
  // The best there is: all rows in one statement and one parameter.
  async json_each(DB, candles) {
    const values = NAMES.map((_, n) => "value ->> " + n).join(", ");
    await DB.prepare(
      "INSERT INTO price_data (" + COLUMNS + ") SELECT " + values + " FROM json_each(?1) WHERE 1 ON CONFLICT (" + KEY +
        ") DO NOTHING",
    ).bind(JSON.stringify(candles.map((candle) => NAMES.map((name) => candle[name])))).run();
  },
};

let open = false;
let started, finished;
let drained = 0;

export default {
  async fetch(request, { QUEUE }) {
    const { pathname } = new URL(request.url);
    if (pathname === "/send") await QUEUE.sendBatch((await request.json()).map((body) => ({ body, contentType: "json" })));
    if (pathname === "/open") open = true;
    return Response.json({ drained, seconds: (finished - started) / 1000 });
  },
  async queue(batch, { DB }) {
    while (!open) await scheduler.wait(10);
    started ??= Date.now();
    const byKey = new Map();
    for (const { body } of batch.messages) {
      for (const candle of body) {
        byKey.set([candle.symbol, candle.timestamp, candle.timeframe, candle.source].join("|"), candle);
      }
    }
    await consumers.${consumer}(DB, [...byKey.values()]);
    batch.ackAll();
    drained += batch.messages.length;
    finished = Date.now();
  },
};
`;

const miniflare = new Miniflare({
  modules: true,
  script: WORKER,
  compatibilityDate: "2026-01-01",
  d1Databases: { DB: "prices" },
  d1Persist: folder,
  queueProducers: { QUEUE: "candles" },
  queueConsumers: { candles: { maxBatchSize: 100, maxBatchTimeout: 1 } },
});

const ask = async (path, body) => (await miniflare.dispatchFetch(`http://localhost${path}`, { method: "POST", body })).json();

try {
  const database = await miniflare.getD1Database("DB");
  const schema = readFileSync(0, "utf8").replace(/--.*$/gm, "").split(";");
  for (const statement of schema.filter((text) => text.trim())) await database.prepare(statement).run();

  const bodies = readFileSync(messages, "utf8").trimEnd().split("\n");
  for (let start = 0; start < bodies.length; start += 100) {
    await ask("/send", `[${bodies.slice(start, start + 100).join(",")}]`);
  }
  let state = await ask("/open");
  while (state.drained < bodies.length) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    state = await ask("/state");
  }
  const stored = await database.prepare("SELECT count(*) AS rows, total(close) AS close FROM price_data").first();
  console.log(JSON.stringify({ ...stored, seconds: state.seconds }));
} finally {
  await miniflare.dispose();
}
