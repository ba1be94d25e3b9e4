// The OpenAI and Anthropic Node SDKs against a running gateway.
// Environment: BASE_URL (ends in /v1), KEY. Prints one line a check and "N passed, M failed".
import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

const { BASE_URL, KEY } = process.env;
const messages = [{ role: 'user', content: 'Say hello to the gateway' }];
const tools = [{
  type: 'function',
  function: {
    name: 'get_weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
}];
const openai = (apiKey = KEY) => new OpenAI({ baseURL: BASE_URL, apiKey, maxRetries: 0 });
const claude = (apiKey = KEY) => new Anthropic({ baseURL: BASE_URL.replace(/\/v1$/, ''), apiKey, maxRetries: 0 });
const ask = (model, key) => openai(key).chat.completions.create({ model, messages });

async function chat(model) {
  const answer = await ask(model);
  assert(answer.choices[0].message.content);
  assert(answer.usage.total_tokens > 0);
}

async function stream(model) {
  const events = await openai().chat.completions.create({
    model, messages, stream: true, stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of events) chunks.push(chunk);
  const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
  assert.equal(text, (await ask(model)).choices[0].message.content);
  assert.equal(chunks.filter((chunk) => chunk.usage).length, 1);
  assert(chunks.at(-1).usage && chunks.at(-1).choices.length === 0);
}

async function callTool(model) {
  const answer = await openai().chat.completions.create({ model, messages, tools });
  const { message } = answer.choices[0];
  const call = message.tool_calls[0];
  assert('city' in JSON.parse(call.function.arguments));
  const history = [...messages, message, { role: 'tool', tool_call_id: call.id, content: 'sunny' }];
  const next = await openai().chat.completions.create({ model, messages: history, tools });
  assert(next.choices[0].message.content);
}

async function streamTool(model) {
  let args = '';
  for await (const chunk of await openai().chat.completions.create({ model, messages, tools, stream: true })) {
    for (const delta of chunk.choices[0]?.delta.tool_calls ?? []) args += delta.function.arguments ?? '';
  }
  assert('city' in JSON.parse(args));
}

async function embeddings() {
  const answer = await openai().embeddings.create({ model: 'demo-embeddings', input: ['one', 'two'] });
  assert.equal(answer.data.length, 2);
  assert(answer.data[0].embedding.every(Number.isFinite) && answer.data[0].embedding.length > 8);
}

async function models() {
  const names = (await openai().models.list()).data.map((model) => model.id);
  assert(names.includes('demo') && !names.includes('demo-locked'));
  assert.equal((await openai().models.retrieve('demo')).id, 'demo');
}

async function message(model) {
  const request = { model, max_tokens: 100, messages };
  const answer = await claude().messages.create(request);
  assert.equal(await claude().messages.stream(request).finalText(), answer.content[0].text);
}

const rejects = (call, kind, word = '') => async () => {
  const error = await call().then(() => assert.fail(`no ${kind.name}`), (error) => error);
  assert.equal(error.constructor, kind, `${error.constructor.name}: ${error.message}`);
  assert(error.message.includes(word), error.message);
  return error;
};

async function rateLimit() {
  const error = await rejects(() => ask('demo-429'), OpenAI.RateLimitError)();
  assert.equal(error.headers.get('retry-after'), '1');
}

const checks = { embeddings, models, 'rate limit': rateLimit };
for (const model of ['demo', 'demo-claude', 'demo-fallback']) {
  for (const check of [chat, stream, callTool, streamTool]) checks[`${check.name} ${model}`] = () => check(model);
}
Object.assign(checks, {
  'wrong key': rejects(() => ask('demo', 'sk-wrong'), OpenAI.AuthenticationError),
  'model not allowed': rejects(() => ask('demo-locked'), OpenAI.PermissionDeniedError, 'demo-locked'),
  'unknown model': rejects(() => ask('nope'), OpenAI.NotFoundError, 'demo-claude'),
  'empty model': rejects(() => ask(''), OpenAI.BadRequestError, 'model'),
  'messages demo-claude': () => message('demo-claude'),
  'messages demo': () => message('demo'),
  'anthropic wrong key': rejects(
    () => claude('wrong').messages.create({ model: 'demo', max_tokens: 9, messages }), Anthropic.AuthenticationError),
  'anthropic unknown model': rejects(
    () => claude().messages.create({ model: 'nope', max_tokens: 9, messages }), Anthropic.NotFoundError, 'nope'),
});

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}: ${error.message}`);
  }
}
console.log(`${Object.keys(checks).length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
