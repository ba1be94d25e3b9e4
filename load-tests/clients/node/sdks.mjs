// The OpenAI SDK (chat completions and responses) and the Anthropic SDK. Streams go through the SDKs' own
// accumulators, which are stricter than reading the events.

import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'

import { CITY, PARAMETERS, PROMPT, RESPONSES_FORMATS, SYSTEM, WEATHER, apiKey, gateway, run } from './cases.mjs'

const settings = { apiKey, maxRetries: 0, timeout: 30_000 }
const openai = new OpenAI({ baseURL: `${gateway}/v1`, ...settings })
// This SDK adds /v1 by itself.
const anthropic = new Anthropic({ baseURL: gateway, ...settings })
const user = (content) => ({ role: 'user', content })

class Chat {
  name = 'openai chat (Node)'
  package = 'openai'
  stop = 'stop'
  toolStop = 'tool_calls'
  status = (error) => error instanceof OpenAI.RateLimitError && error.status
  tools = [{ type: 'function', function: { name: 'weather', parameters: PARAMETERS, strict: true } }]

  async chat(model, stream) {
    const [answer] = await this.ask(stream, { model, messages: [{ role: 'system', content: SYSTEM }, user(PROMPT)] })
    return answer
  }

  async tool(model, stream) {
    const messages = [{ role: 'developer', content: SYSTEM }, user(CITY)]
    const [asked, message] = await this.ask(stream, { model, messages, tools: this.tools })
    messages.push(message)
    for (const call of asked.calls) messages.push({ role: 'tool', tool_call_id: call.id, content: WEATHER })
    const [final] = await this.ask(stream, { model, messages, tools: this.tools })
    return [asked, final]
  }

  limited(model) {
    return openai.chat.completions.create({ model, messages: [user(PROMPT)] })
  }

  async ask(stream, request) {
    const pieces = []
    let answer
    if (stream) {
      const chunks = openai.chat.completions.stream({ ...request, stream_options: { include_usage: true } })
      chunks.on('content', (piece) => pieces.push(piece))
      answer = await chunks.finalChatCompletion()
    } else {
      answer = await openai.chat.completions.create(request)
    }
    const { message, finish_reason: stop } = answer.choices[0]
    const calls = (message.tool_calls ?? []).map((call) => ({
      id: call.id,
      name: call.function.name,
      arguments: JSON.parse(call.function.arguments),
    }))
    const { prompt_tokens: promptTokens, completion_tokens: completionTokens } = answer.usage
    return [{ text: message.content ?? '', pieces, calls, stop, promptTokens, completionTokens }, message]
  }
}

class Responses {
  name = 'openai responses (Node)'
  package = 'openai'
  formats = RESPONSES_FORMATS
  stop = 'completed'
  toolStop = 'completed'
  status = (error) => error instanceof OpenAI.RateLimitError && error.status
  tools = [{ type: 'function', name: 'weather', parameters: PARAMETERS, strict: true }]

  async chat(model, stream) {
    const [answer] = await this.ask(stream, { model, instructions: SYSTEM, input: PROMPT })
    return answer
  }

  async tool(model, stream) {
    const input = [user(CITY)]
    const [asked, output] = await this.ask(stream, { model, input, tools: this.tools })
    input.push(...output)
    for (const call of asked.calls) input.push({ type: 'function_call_output', call_id: call.id, output: WEATHER })
    const [final] = await this.ask(stream, { model, input, tools: this.tools })
    return [asked, final]
  }

  limited(model) {
    return openai.responses.create({ model, input: PROMPT, store: false })
  }

  async ask(stream, request) {
    const pieces = []
    let response
    if (stream) {
      const events = openai.responses.stream({ ...request, store: false })
      events.on('response.output_text.delta', (event) => pieces.push(event.delta))
      response = await events.finalResponse()
    } else {
      response = await openai.responses.create({ ...request, store: false })
    }
    const calls = response.output
      .filter((item) => item.type === 'function_call')
      .map((item) => ({ id: item.call_id, name: item.name, arguments: JSON.parse(item.arguments) }))
    const { input_tokens: promptTokens, output_tokens: completionTokens } = response.usage
    // Only the SDK's accumulator adds `parsed_arguments` and `parsed`, which no API takes back.
    const output = JSON.parse(JSON.stringify(response.output), (key, value) =>
      key === 'parsed_arguments' || key === 'parsed' ? undefined : value,
    )
    return [
      { text: response.output_text, pieces, calls, stop: response.status, promptTokens, completionTokens },
      output,
    ]
  }
}

class Messages {
  name = 'anthropic (TypeScript)'
  package = '@anthropic-ai/sdk'
  stop = 'end_turn'
  toolStop = 'tool_use'
  status = (error) => error instanceof Anthropic.RateLimitError && error.status
  tools = [{ name: 'weather', description: 'The weather of a city.', input_schema: PARAMETERS }]

  async chat(model, stream) {
    const [answer] = await this.ask(stream, { model, system: SYSTEM, messages: [user(PROMPT)] })
    return answer
  }

  async tool(model, stream) {
    const messages = [user(CITY)]
    const [asked, content] = await this.ask(stream, { model, messages, tools: this.tools })
    const results = asked.calls.map((call) => ({ type: 'tool_result', tool_use_id: call.id, content: WEATHER }))
    messages.push({ role: 'assistant', content }, user(results))
    const [final] = await this.ask(stream, { model, messages, tools: this.tools })
    return [asked, final]
  }

  limited(model) {
    return anthropic.messages.create({ model, max_tokens: 99, messages: [user(PROMPT)] })
  }

  async ask(stream, request) {
    const pieces = []
    let message
    if (stream) {
      const events = anthropic.messages.stream({ ...request, max_tokens: 999 })
      events.on('text', (piece) => pieces.push(piece))
      message = await events.finalMessage()
    } else {
      message = await anthropic.messages.create({ ...request, max_tokens: 999 })
    }
    const text = message.content.filter((block) => block.type === 'text').map((block) => block.text).join('')
    const calls = message.content
      .filter((block) => block.type === 'tool_use')
      .map((block) => ({ id: block.id, name: block.name, arguments: block.input }))
    const { input_tokens: promptTokens, output_tokens: completionTokens } = message.usage
    return [{ text, pieces, calls, stop: message.stop_reason, promptTokens, completionTokens }, message.content]
  }
}

await run(new Chat(), new Responses(), new Messages())
