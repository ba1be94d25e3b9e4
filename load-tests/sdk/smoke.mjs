// Drives a running `signalbox demo` with the OpenAI and Anthropic Node SDKs.
//
//     node load-tests/sdk/smoke.mjs http://127.0.0.1:8080/v1 sk-demo-signalbox
//
// Prints one line per check and closes each suite with `N passed, M failed`; exits 1 when any check failed.

import { AnthropicChecks } from './anthropic_checks.mjs'
import { CacheChecks } from './cache_checks.mjs'
import { OpenAiChecks } from './openai_checks.mjs'
import { Suite } from './suite.mjs'

const [baseURL = process.env.BASE_URL, key = process.env.KEY] = process.argv.slice(2)
if (!baseURL || !key) {
  console.error('usage: smoke.mjs BASE_URL KEY   (or set BASE_URL and KEY)')
  process.exit(1)
}

let exitCode = 0
for (const [name, Checks] of [
  ['openai node', OpenAiChecks],
  ['anthropic node', AnthropicChecks],
  ['cache node', CacheChecks],
]) {
  const suite = new Suite(name)
  await new Checks(baseURL, key).run(suite)
  exitCode |= suite.finish()
}
process.exitCode = exitCode
