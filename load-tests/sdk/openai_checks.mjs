// What the OpenAI Node SDK must be able to do through the gateway.

import OpenAI from 'openai'

import { collect, equal, holds, rejected } from './suite.mjs'

const PROMPT = 'Signals guard the line between two stations'
const WEATHER = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather of a city.',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer' } },
      required: ['city', 'days'],
    },
  },
}
// One model for each wire format behind the same API.
const MODELS = ['demo', 'demo-claude', 'demo-fallback']

const user = (text) => [{ role: 'user', content: text }]

export class OpenAiChecks {
  constructor(baseURL, apiKey) {
    this.client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 30_000 })
  }

  async run(suite) {
    for (const model of MODELS) {
      await suite.check(`chat with ${model}`, () => this.chat(model))
      await suite.check(`stream with usage from ${model}`, () => this.stream(model))
      await suite.check(`stream without usage from ${model}`, () => this.streamWithoutUsage(model))
      await suite.check(`tool call and its result with ${model}`, () => this.tool(model))
      await suite.check(`streamed tool call with ${model}`, () => this.streamedTool(model))
    }
    await suite.check('a stream that the client leaves', () => this.leave())
    await suite.check("embeddings in the SDK's default encoding", () => this.embeddings())
    await suite.check('models list', () => this.models())
    await suite.check('one model', () => this.model())
    await suite.check('AuthenticationError for a wrong key', () => this.wrongKey())
    await suite.check('PermissionDeniedError for a model the key may not use', () => this.locked())
    await suite.check('NotFoundError for an unknown model, with the known names', () => this.unknownModel())
    await suite.check("NotFoundError for an unknown model's card", () => this.unknownCard())
    await suite.check('BadRequestError for a missing model', () => this.missingModel())
    await suite.check('BadRequestError for a malformed body, with its position', () => this.malformed())
    await suite.check('RateLimitError with retry-after', () => this.rateLimited())
  }

  async text(model) {
    const answer = await this.client.chat.completions.create({ model, messages: user(PROMPT) })
    return answer.choices[0].message.content
  }

  async chat(model) {
    const messages = [{ role: 'system', content: 'Be brief.' }, ...user(PROMPT)]
    const answer = await this.client.chat.completions.create({ model, messages, temperature: 0.2 })
    const [choice] = answer.choices
    equal(answer.object, 'chat.completion', 'object')
    equal([choice.message.role, choice.message.content], ['assistant', PROMPT], 'the echo of the mock upstream')
    equal(choice.finish_reason, 'stop', 'finish_reason')
    checkUsage(answer.usage)
  }

  async stream(model) {
    const stream = await this.client.chat.completions.create({
      model,
      messages: user(PROMPT),
      stream: true,
      stream_options: { include_usage: true },
    })
    const chunks = await collect(stream)
    const choices = chunks.flatMap((chunk) => chunk.choices)
    const pieces = choices.map((choice) => choice.delta.content).filter(Boolean)
    holds(pieces.length > 1, `the text came in one piece: ${pieces}`)
    equal(pieces.join(''), await this.text(model), 'the streamed text')
    equal(choices.map((choice) => choice.finish_reason).filter(Boolean), ['stop'], 'finish_reason')
    const counted = chunks.flatMap((chunk, index) => (chunk.usage ? [index] : []))
    equal(counted, [chunks.length - 1], 'the places of usage chunks')
    equal(chunks.at(-1).choices, [], 'the choices of the usage chunk')
    checkUsage(chunks.at(-1).usage)
  }

  async streamWithoutUsage(model) {
    const chunks = await collect(
      await this.client.chat.completions.create({ model, messages: user(PROMPT), stream: true }),
    )
    holds(chunks.length > 2, `only ${chunks.length} chunks`)
    equal(chunks.filter((chunk) => chunk.usage), [], 'chunks with usage')
  }

  async tool(model) {
    const messages = user('Oslo')
    const asked = await this.client.chat.completions.create({ model, messages, tools: [WEATHER] })
    const [choice] = asked.choices
    equal(choice.finish_reason, 'tool_calls', 'finish_reason')
    equal(choice.message.tool_calls.length, 1, 'tool calls')
    const [call] = choice.message.tool_calls
    equal([call.type, call.function.name], ['function', 'weather'], 'the tool')
    equal(JSON.parse(call.function.arguments), { city: 'Oslo', days: 1 }, 'the arguments')
    messages.push(choice.message, { role: 'tool', tool_call_id: call.id, content: '4 degrees, rain' })
    const answer = await this.client.chat.completions.create({ model, messages, tools: [WEATHER] })
    equal(answer.choices[0].finish_reason, 'stop', "finish_reason after the tool's result")
    holds(answer.choices[0].message.content, "no text after the tool's result")
  }

  /** Through the SDK's own accumulator, which is strict about the order of deltas. */
  async streamedTool(model) {
    const runner = this.client.chat.completions.stream({ model, messages: user('Oslo'), tools: [WEATHER] })
    const answer = await runner.finalChatCompletion()
    const [choice] = answer.choices
    equal(choice.finish_reason, 'tool_calls', 'finish_reason')
    const calls = choice.message.tool_calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)])
    equal(calls, [['weather', { city: 'Oslo', days: 1 }]], 'the tool calls')
    holds(choice.message.tool_calls[0].id, 'the call has no id')
  }

  async leave() {
    const stream = await this.client.chat.completions.create({ model: 'demo', messages: user(PROMPT), stream: true })
    for await (const chunk of stream) {
      holds(chunk.id, 'a chunk without id')
      break
    }
    equal(await this.text('demo'), PROMPT, 'the answer to the next request')
  }

  async embeddings() {
    const input = ['a signal at danger', 'a signal at clear']
    const decoded = await this.client.embeddings.create({ model: 'demo-embeddings', input })
    const plain = await this.client.embeddings.create({ model: 'demo-embeddings', input, encoding_format: 'float' })
    equal(decoded.data.map((item) => item.index), [0, 1], 'the order')
    decoded.data.forEach((item, index) => {
      equal(item.embedding.length, 1536, 'the length')
      const distances = item.embedding.map((value, place) => Math.abs(value - plain.data[index].embedding[place]))
      holds(Math.max(...distances) < 1e-6, `base64 and plain floats differ by ${Math.max(...distances)}`)
    })
    holds(String(decoded.data[0].embedding) !== String(decoded.data[1].embedding), 'two texts have one vector')
  }

  async models() {
    const names = (await collect(this.client.models.list())).map((model) => model.id)
    for (const name of ['demo', 'demo-claude', 'demo-fallback']) holds(names.includes(name), `models are ${names}`)
    holds(!names.includes('demo-locked'), 'a model is listed that the key may not use')
  }

  async model() {
    const card = await this.client.models.retrieve('demo')
    equal([card.id, card.object], ['demo', 'model'], 'the model')
  }

  async wrongKey() {
    const stranger = this.client.withOptions({ apiKey: 'sk-not-known' })
    const error = await rejected(OpenAI.AuthenticationError, () => stranger.models.list())
    equal([error.status, error.code], [401, 'invalid_api_key'], 'status and code')
  }

  async locked() {
    const error = await rejected(OpenAI.PermissionDeniedError, () => this.text('demo-locked'))
    equal(error.status, 403, 'status')
    holds(error.message.includes('demo-locked'), `the message names no model: ${error.message}`)
  }

  async unknownModel() {
    const error = await rejected(OpenAI.NotFoundError, () => this.text('no-such-model'))
    equal([error.status, error.code, error.param], [404, 'model_not_found', 'model'], 'status, code, param')
    holds(error.message.includes('demo-claude'), `the message names no known model: ${error.message}`)
  }

  async unknownCard() {
    const error = await rejected(OpenAI.NotFoundError, () => this.client.models.retrieve('nope'))
    equal(error.status, 404, 'status')
  }

  async missingModel() {
    const call = () => this.client.post('/chat/completions', { body: { messages: user(PROMPT) } })
    const error = await rejected(OpenAI.BadRequestError, call)
    holds(error.message.includes('model'), `the message does not say what is missing: ${error.message}`)
  }

  async malformed() {
    const body = '{"model": "demo", "messages": [}'
    const headers = { 'content-type': 'application/json' }
    const call = () => this.client.post('/chat/completions', { body, headers })
    const error = await rejected(OpenAI.BadRequestError, call)
    holds(error.message.includes('column 32'), `the message gives no position: ${error.message}`)
  }

  async rateLimited() {
    const error = await rejected(OpenAI.RateLimitError, () => this.text('demo-429'))
    equal([error.status, error.headers.get('retry-after')], [429, '1'], 'status and retry-after')
  }
}

function checkUsage(usage) {
  holds(usage?.prompt_tokens > 0 && usage.completion_tokens > 0, `usage is ${JSON.stringify(usage)}`)
  equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, 'total_tokens')
}
