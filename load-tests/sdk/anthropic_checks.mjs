// What the Anthropic Node SDK must be able to do through the gateway.

import Anthropic from '@anthropic-ai/sdk'

import { collect, equal, holds, rejected } from './suite.mjs'

const PROMPT = 'Signals guard the line between two stations'
const WEATHER = {
  name: 'weather',
  description: 'The weather of a city.',
  input_schema: {
    type: 'object',
    properties: { city: { type: 'string' }, days: { type: 'integer' } },
    required: ['city', 'days'],
  },
}
// `demo-claude` has the client's own wire format, `demo` that of OpenAI.
const MODELS = ['demo-claude', 'demo']

const user = (content) => ({ role: 'user', content })

export class AnthropicChecks {
  constructor(baseURL, apiKey) {
    // The SDK adds /v1 by itself.
    const root = baseURL.replace(/\/v1$/, '')
    this.client = new Anthropic({ baseURL: root, apiKey, maxRetries: 0, timeout: 30_000 })
  }

  async run(suite) {
    for (const model of MODELS) {
      await suite.check(`message from ${model}`, () => this.message(model))
      await suite.check(`stream from ${model}`, () => this.stream(model))
      await suite.check(`tool use and its result with ${model}`, () => this.tool(model))
      await suite.check(`streamed tool use with ${model}`, () => this.streamedTool(model))
    }
    await suite.check('models list', () => this.models())
    await suite.check('AuthenticationError for a wrong key', () => this.wrongKey())
    await suite.check('PermissionDeniedError for a model the key may not use', () => this.locked())
    await suite.check('NotFoundError for an unknown model, with the known names', () => this.unknownModel())
    await suite.check('BadRequestError for a missing model', () => this.missingModel())
    await suite.check('RateLimitError with retry-after', () => this.rateLimited())
  }

  create(model, messages = [user(PROMPT)], more = {}) {
    return this.client.messages.create({ model, max_tokens: 200, messages, ...more })
  }

  async message(model) {
    const answer = await this.create(model, undefined, { system: 'Be brief.' })
    equal([answer.type, answer.role, answer.stop_reason], ['message', 'assistant', 'end_turn'], 'the message')
    equal(answer.content.map((block) => block.text), [PROMPT], 'the echo of the mock upstream')
    checkUsage(answer.usage)
  }

  async stream(model) {
    const pieces = []
    const stream = this.client.messages.stream({ model, max_tokens: 200, messages: [user(PROMPT)] })
    stream.on('text', (piece) => pieces.push(piece))
    const answer = await stream.finalMessage()
    holds(pieces.length > 1, `the text came in one piece: ${pieces}`)
    equal(pieces.join(''), PROMPT, 'the streamed text')
    equal([answer.content[0].text, answer.stop_reason], [PROMPT, 'end_turn'], 'the joined message')
    checkUsage(answer.usage)
  }

  async tool(model) {
    const asked = await this.create(model, [user('Oslo')], { tools: [WEATHER] })
    equal(asked.stop_reason, 'tool_use', 'stop_reason')
    const uses = asked.content.filter((block) => block.type === 'tool_use')
    equal(uses.map((use) => [use.name, use.input]), [['weather', { city: 'Oslo', days: 1 }]], 'the tool use')
    const result = { type: 'tool_result', tool_use_id: uses[0].id, content: '4 degrees, rain' }
    const messages = [user('Oslo'), { role: 'assistant', content: asked.content }, user([result])]
    const answer = await this.create(model, messages, { tools: [WEATHER] })
    equal(answer.stop_reason, 'end_turn', "stop_reason after the tool's result")
    holds(answer.content[0].text, "no text after the tool's result")
  }

  async streamedTool(model) {
    const asked = { model, max_tokens: 200, messages: [user('Oslo')], tools: [WEATHER] }
    const answer = await this.client.messages.stream(asked).finalMessage()
    const uses = answer.content.filter((block) => block.type === 'tool_use')
    equal(uses.map((use) => [use.name, use.input]), [['weather', { city: 'Oslo', days: 1 }]], 'the tool use')
    equal(answer.stop_reason, 'tool_use', 'stop_reason')
  }

  async models() {
    const names = (await collect(this.client.models.list())).map((model) => model.id)
    for (const name of MODELS) holds(names.includes(name), `models are ${names}`)
  }

  async wrongKey() {
    const stranger = this.client.withOptions({ apiKey: 'sk-not-known' })
    const call = () => stranger.messages.create({ model: 'demo', max_tokens: 9, messages: [user(PROMPT)] })
    checkEnvelope(await rejected(Anthropic.AuthenticationError, call), 401, 'authentication_error')
  }

  async locked() {
    const error = await rejected(Anthropic.PermissionDeniedError, () => this.create('demo-locked'))
    checkEnvelope(error, 403, 'permission_error')
  }

  async unknownModel() {
    const error = await rejected(Anthropic.NotFoundError, () => this.create('no-such-model'))
    checkEnvelope(error, 404, 'not_found_error')
    holds(error.message.includes('demo-claude'), `the message names no known model: ${error.message}`)
  }

  async missingModel() {
    const call = () => this.client.post('/v1/messages', { body: { max_tokens: 9, messages: [user(PROMPT)] } })
    checkEnvelope(await rejected(Anthropic.BadRequestError, call), 400, 'invalid_request_error')
  }

  async rateLimited() {
    const error = await rejected(Anthropic.RateLimitError, () => this.create('demo-429'))
    checkEnvelope(error, 429, 'rate_limit_error')
    equal(error.headers.get('retry-after'), '1', 'retry-after')
  }
}

function checkUsage(usage) {
  holds(usage.input_tokens > 0 && usage.output_tokens > 0, `usage is ${JSON.stringify(usage)}`)
}

/** Anthropic's own envelope, with the id under which the request is found in the log. */
function checkEnvelope(error, status, kind) {
  equal([error.status, error.error.type, error.error.error.type], [status, 'error', kind], 'the error')
  equal(error.error.request_id, error.headers.get('request-id'), 'request_id')
}
