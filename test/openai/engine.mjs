// Drives gateways in front of real engines with the official OpenAI client: what an answer
// is and what it used are the engine's, not a simulation's.
import OpenAI from "openai";
import assert from "node:assert/strict";

const clients = process.argv.slice(2).map((url) => new OpenAI({
  baseURL: url + "/v1",
  apiKey: "none",
  maxRetries: 0,
  defaultHeaders: { "x-llm-d-inference-fairness-id": "openai-client" },
}));
const messages = [{ role: "user", content: "Say something about water." }];
const asked = { model: "random", messages, max_tokens: 16, ignore_eos: true };

async function streamed(client) {
  let chunks = 0, usage;
  const stream = await client.chat.completions.create({ ...asked, stream: true, stream_options: { include_usage: true } });
  for await (const chunk of stream) {
    if (chunk.choices.length > 0) chunks++;
    if (chunk.usage) usage = chunk.usage;
  }
  assert.ok(chunks > 2, `${chunks} chunks`);
  assert.equal(usage.completion_tokens, 16);
}

for (const client of clients) {
  const whole = await client.chat.completions.create(asked);
  assert.equal(whole.usage.completion_tokens, 16);
  assert.equal(whole.choices[0].finish_reason, "length");
  await streamed(client);

  const legacy = await client.completions.create({ model: "random", prompt: "Once", max_tokens: 3, ignore_eos: true });
  assert.equal(legacy.usage.completion_tokens, 3);

  // The engine's own complaint goes through.
  await assert.rejects(
    client.chat.completions.create({ model: "random", messages: [{ role: "user", content: "word ".repeat(9000) }], max_tokens: 1 }),
    (error) => error.status === 400 && error.type === "exceed_context_size_error",
  );
}

// More than the engines run at once, over all gateways; and clients that stop in the middle.
await Promise.all(Array.from({ length: 32 }, (_, i) => streamed(clients[i % clients.length])));
for (const client of clients) {
  const stream = await client.chat.completions.create({ ...asked, max_tokens: 1000, stream: true });
  for await (const _ of stream) break;
}
await Promise.all(clients.map(streamed));
console.log("ok");
