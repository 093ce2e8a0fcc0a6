// Drives a gateway with the official OpenAI client: plain, streaming, embeddings,
// models, and an error.
import OpenAI from "openai";
import assert from "node:assert/strict";

const client = new OpenAI({
  baseURL: process.argv[2] + "/v1",
  apiKey: "none",
  maxRetries: 0,
  defaultHeaders: { "x-llm-d-inference-fairness-id": "openai-client" },
});
const messages = [{ role: "user", content: "Say something about water." }];

const whole = await client.chat.completions.create({ model: "simulated", messages, max_tokens: 6 });
assert.equal(whole.usage.completion_tokens, 6);
assert.equal(whole.choices[0].message.content.trim().split(" ").length, 6);

let text = "", chunks = 0, usage;
const stream = await client.chat.completions.create({
  model: "simulated", messages, max_tokens: 6, stream: true, stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  if (chunk.choices.length > 0) { text += chunk.choices[0].delta.content; chunks++; }
  if (chunk.usage) usage = chunk.usage;
}
assert.equal(chunks, 6);
assert.equal(text, whole.choices[0].message.content);
assert.equal(usage.completion_tokens, 6);

const legacy = await client.completions.create({ model: "simulated", prompt: "Once", max_tokens: 3 });
assert.equal(legacy.usage.completion_tokens, 3);

const embedded = await client.embeddings.create({ model: "simulated", input: "water", encoding_format: "float" });
assert.equal(embedded.data[0].embedding.length, 3);

const models = await client.models.list();
assert.equal(models.data[0].id, "simulated");

await assert.rejects(
  client.chat.completions.create({ model: "", messages }),
  (error) => error.status === 400 && error.code === "model_required",
);
console.log("ok");
