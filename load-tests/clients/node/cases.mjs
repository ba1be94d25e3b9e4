// The cases every Node client must pass, and the row that each leaves. Knows no client.
//
// A client has `name`, `package`, `stop` and `toolStop` (its words for why an answer ended), `status(error)`
// (the HTTP status that its exception tells), `formats` where it does not run over FORMATS, and
//
//   chat(model, stream)   one answer to PROMPT
//   tool(model, stream)   asks CITY with the weather tool and answers its calls; both answers
//   limited(model)        one plain request that must be refused with 429
//
// An answer is { text, pieces, calls: [{ id, name, arguments }], stop, promptTokens, completionTokens }.

import { appendFileSync, readFileSync } from 'node:fs'
import { inspect, isDeepStrictEqual } from 'node:util'

export const PROMPT = 'Signals guard the line between two stations'
export const SYSTEM = 'Be brief.'
export const CITY = 'Oslo'
export const WEATHER = '4 degrees, rain'
export const PARAMETERS = {
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer' } },
  required: ['city', 'days'],
  additionalProperties: false,
}
// The wire formats behind the gateway: models are named FORMAT, FORMAT-two-calls and FORMAT-limited.
const FORMATS = ['openai', 'anthropic']
// OpenAI itself gets requests of the responses format unchanged; a compatible provider has chat only.
export const RESPONSES_FORMATS = ['compatible', 'anthropic']

/** The gateway's address without a path, and the key. */
export const gateway = process.env.GATEWAY
export const apiKey = process.env.KEY

const CASES = {
  chat: (client, format) => chat(client, format, false),
  stream: (client, format) => chat(client, format, true),
  tool: (client, format) => tool(client, format, 1, false),
  'streamed tool': (client, format) => tool(client, format, 1, true),
  'two calls': (client, format) => tool(client, `${format}-two-calls`, 2, false),
  'streamed two calls': (client, format) => tool(client, `${format}-two-calls`, 2, true),
  429: (client, format) => limited(client, `${format}-limited`),
}
const ORDER = ['chat', 'stream', 'tool', 'streamed tool', 'two calls', 'streamed two calls', '429']

/** Runs each client's cases over each format; the process will exit with 1 when a case failed. */
export async function run(...clients) {
  for (const client of clients) {
    for (const name of ORDER) {
      for (const format of client.formats ?? FORMATS) await leaveRow(client, name, format)
    }
  }
}

async function leaveRow(client, name, format) {
  let why = ''
  try {
    await CASES[name](client, format)
  } catch (error) {
    why = `${error.constructor.name}: ${error.message}`.replace(/\s+/g, ' ').slice(0, 500)
    process.exitCode = 1
  }
  const version = `${client.package} ${installed(client.package)}`
  const row = { client: client.name, version, case: name, format, passed: !why, why }
  appendFileSync(process.env.RESULTS, `${JSON.stringify(row)}\n`)
  console.log(`${why ? 'FAILED' : 'ok    '} ${client.name}: ${name} over ${format}${why ? `: ${why}` : ''}`)
}

function installed(name) {
  return JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version
}

async function chat(client, model, stream) {
  const answer = await client.chat(model, stream)
  equal(answer.text, PROMPT, "the mock's echo")
  equal(answer.calls, [], 'tool calls nobody asked for')
  equal(answer.stop, client.stop, 'the reason to stop')
  checkUsage(answer)
  if (stream) {
    holds(answer.pieces.length > 1, `the text came in one piece: ${answer.pieces}`)
    equal(answer.pieces.join(''), PROMPT, 'the pieces')
  }
}

async function tool(client, model, count, stream) {
  const [asked, final] = await client.tool(model, stream)
  const expected = Array(count).fill(['weather', { city: CITY, days: 1 }])
  equal(asked.calls.map((call) => [call.name, call.arguments]), expected, 'the calls')
  equal(new Set(asked.calls.map((call) => call.id).filter(Boolean)).size, count, 'different ids')
  equal(asked.stop, client.toolStop, 'the reason to stop for a tool')
  checkUsage(asked)
  equal([final.text, final.calls], [CITY, []], "the echo after the tool's result")
  equal(final.stop, client.stop, "the reason to stop after the tool's result")
}

async function limited(client, model) {
  let refusal
  try {
    await client.limited(model)
  } catch (error) {
    refusal = error
  }
  holds(refusal, 'nothing was thrown')
  equal(client.status(refusal), 429, `the status of ${refusal.constructor.name}`)
}

function checkUsage({ promptTokens, completionTokens }) {
  holds(promptTokens > 0 && completionTokens > 0, `usage is ${promptTokens} and ${completionTokens}`)
}

function equal(found, expected, what) {
  if (!isDeepStrictEqual(found, expected)) {
    throw new Error(`${what}: found ${inspect(found, { depth: 5 })}, expected ${inspect(expected, { depth: 5 })}`)
  }
}

function holds(condition, what) {
  if (!condition) throw new Error(what)
}
