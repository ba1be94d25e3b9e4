// What both Node SDKs must get from the cache: an answer that was kept in one mode, given in the other. The model
// `demo-cached` is the only one of the demo whose answers are kept.

import { randomUUID } from 'node:crypto'

import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'

import { equal, holds } from './suite.mjs'

const MODEL = 'demo-cached'
// What offers tools is kept only when the request asks for it.
const OPTED_IN = { headers: { 'x-signalbox-cache': 'on' } }
const SCHEMA = {
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer' } },
  required: ['city', 'days'],
}

export class CacheChecks {
  constructor(baseURL, apiKey) {
    const common = { apiKey, maxRetries: 0, timeout: 30_000 }
    this.openai = new OpenAI({ baseURL, ...common })
    this.anthropic = new Anthropic({ baseURL: baseURL.replace(/\/v1$/, ''), ...common })
  }

  async run(suite) {
    const chatTool = { type: 'function', function: { name: 'weather', parameters: SCHEMA } }
    const messageTool = { name: 'weather', input_schema: SCHEMA }
    const responseTool = { type: 'function', name: 'weather', parameters: SCHEMA, strict: false }
    for (const [name, ask] of [
      ['chat', (...what) => this.chat(...what, {})],
      ['chat with a tool call', (...what) => this.chat(...what, { tools: [chatTool] })],
      ['message', (...what) => this.message(...what, {})],
      ['message with tool use', (...what) => this.message(...what, { tools: [messageTool] })],
      ['response', (...what) => this.response(...what, {})],
      ['response with a function call', (...what) => this.response(...what, { tools: [responseTool] })],
    ]) {
      const callsTool = name.includes(' with ')
      await suite.check(`${name}: JSON of a kept stream`, () => this.compare(ask, callsTool, true))
      await suite.check(`${name}: a stream of kept JSON`, () => this.compare(ask, callsTool, false))
    }
  }

  async compare(ask, callsTool, streamFirst) {
    const prompt = `Signals guard the line between two stations ${randomUUID()}`
    const first = await ask(prompt, streamFirst)
    equal(first.mark, 'miss', 'x-signalbox-cache of the first')
    const second = await ask(prompt, !streamFirst)
    equal(second.mark, 'hit', 'x-signalbox-cache of the second')
    holds(callsTool ? first.calls.length > 0 : first.text, 'the first answer lacks what it is about')
    equal({ ...second, mark: '' }, { ...first, mark: '' }, 'the answer in the other mode')
  }

  async chat(prompt, stream, more) {
    const body = { model: MODEL, messages: [{ role: 'user', content: prompt }], ...more }
    const { data, response } = await this.openai.chat.completions.create({ ...body, stream }, OPTED_IN).withResponse()
    const mark = response.headers.get('x-signalbox-cache')
    if (!stream) {
      const [choice] = data.choices
      const calls = (choice.message.tool_calls ?? []).map((call) => [call.function.name, call.function.arguments])
      return { text: choice.message.content ?? '', calls, end: choice.finish_reason, mark }
    }
    const [calls, told] = [[], { text: '', end: null }]
    for await (const chunk of data) {
      for (const { delta, finish_reason } of chunk.choices) {
        told.text += delta.content ?? ''
        told.end = finish_reason ?? told.end
        for (const { index, function: called } of delta.tool_calls ?? []) {
          const [name, args] = calls[index] ?? ['', '']
          calls[index] = [name + (called.name ?? ''), args + (called.arguments ?? '')]
        }
      }
    }
    return { text: told.text, calls, end: told.end, mark }
  }

  async message(prompt, stream, more) {
    const body = { model: MODEL, max_tokens: 200, messages: [{ role: 'user', content: prompt }], ...more }
    let answer, response
    if (stream) {
      const events = this.anthropic.messages.stream(body, OPTED_IN)
      response = (await events.withResponse()).response
      answer = await events.finalMessage()
    } else {
      ;({ data: answer, response } = await this.anthropic.messages.create(body, OPTED_IN).withResponse())
    }
    const text = answer.content.map((block) => block.text ?? '').join('')
    const calls = answer.content.filter((block) => block.type === 'tool_use').map((block) => [block.name, block.input])
    return { text, calls, end: answer.stop_reason, mark: response.headers.get('x-signalbox-cache') }
  }

  async response(prompt, stream, more) {
    const body = { model: MODEL, input: prompt, stream, ...more }
    const { data, response } = await this.openai.responses.create(body, OPTED_IN).withResponse()
    let answer = data
    if (stream) {
      let deltas = ''
      for await (const event of data) {
        if (event.type === 'response.output_text.delta') deltas += event.delta
        if (event.type === 'response.completed') answer = event.response
      }
      const text = answer.output.flatMap((item) => item.content ?? []).map((part) => part.text).join('')
      equal(deltas, text, 'the deltas and the text at the end')
    }
    const text = answer.output.flatMap((item) => item.content ?? []).map((part) => part.text).join('')
    const calls = answer.output.filter((item) => item.type === 'function_call').map((item) => [item.name, item.arguments])
    return { text, calls, end: answer.status, mark: response.headers.get('x-signalbox-cache') }
  }
}
