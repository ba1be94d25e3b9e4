// The Vercel AI SDK with three providers. Its own loop runs the tool.

import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { RetryError, generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai'

import { CITY, PARAMETERS, PROMPT, RESPONSES_FORMATS, SYSTEM, WEATHER, apiKey, gateway, run } from './cases.mjs'

// Otherwise each request warns that the model's own limit is not known.
globalThis.AI_SDK_LOG_WARNINGS = false
const baseURL = `${gateway}/v1`

class Vercel {
  stop = 'stop'
  toolStop = 'tool-calls'

  constructor(name, packageName, connect, formats) {
    this.formats = formats
    this.name = name
    this.package = packageName
    this.connect = connect
  }

  status(error) {
    return (RetryError.isInstance(error) ? error.lastError : error).statusCode
  }

  async chat(model, stream) {
    const answers = await this.ask(stream, { model: this.connect(model), system: SYSTEM, prompt: PROMPT })
    return answers.at(-1)
  }

  tool(model, stream) {
    const weather = tool({
      description: 'The weather of a city.',
      inputSchema: jsonSchema(PARAMETERS),
      execute: async () => WEATHER,
    })
    return this.ask(stream, { model: this.connect(model), prompt: CITY, tools: { weather }, stopWhen: stepCountIs(3) })
  }

  limited(model) {
    return generateText({ model: this.connect(model), prompt: PROMPT, maxRetries: 0 })
  }

  /** The answer of each step. */
  async ask(stream, request) {
    if (!stream) return (await generateText({ ...request, maxRetries: 0 })).steps.map((step) => read(step, []))
    let failure
    const onError = ({ error }) => (failure = error)
    const streamed = streamText({ ...request, maxRetries: 0, onError })
    const pieces = []
    for await (const piece of streamed.textStream) pieces.push(piece)
    if (failure) throw failure
    return (await streamed.steps).map((step) => read(step, pieces))
  }
}

function read(step, pieces) {
  return {
    text: step.text,
    pieces,
    calls: step.toolCalls.map((call) => ({ id: call.toolCallId, name: call.toolName, arguments: call.input })),
    stop: step.finishReason,
    promptTokens: step.usage.inputTokens,
    completionTokens: step.usage.outputTokens,
  }
}

const compatible = createOpenAICompatible({ name: 'signalbox', baseURL, apiKey, includeUsage: true })
const openai = createOpenAI({ baseURL, apiKey })
const anthropic = createAnthropic({ baseURL, apiKey })
await run(
  new Vercel('Vercel AI SDK openai-compatible', '@ai-sdk/openai-compatible', (model) => compatible(model)),
  new Vercel(
    'Vercel AI SDK openai responses',
    '@ai-sdk/openai',
    (model) => openai.responses(model),
    RESPONSES_FORMATS,
  ),
  new Vercel('Vercel AI SDK anthropic', '@ai-sdk/anthropic', (model) => anthropic(model)),
)
