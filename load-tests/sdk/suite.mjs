// Counts checks and says which failed. Knows no SDK.

import { isDeepStrictEqual, inspect } from 'node:util'

/** Named checks, run in order; `finish` prints the count and gives the exit code. */
export class Suite {
  passed = 0
  failed = 0

  constructor(name) {
    this.name = name
  }

  /** Runs one check. Anything it throws is a failure. */
  async check(name, action) {
    try {
      await action()
      this.passed += 1
      console.log(`ok     ${this.name}: ${name}`)
    } catch (error) {
      this.failed += 1
      const place = error.stack?.split('\n').find((line) => line.includes('_checks.mjs'))?.trim() ?? ''
      console.log(`FAILED ${this.name}: ${name}: ${error.constructor.name}: ${error.message} (${place})`)
    }
  }

  finish() {
    console.log(`${this.passed} passed, ${this.failed} failed`)
    return this.failed === 0 && this.passed > 0 ? 0 : 1
  }
}

export function equal(found, expected, what) {
  if (!isDeepStrictEqual(found, expected)) {
    throw new Error(`${what} is ${inspect(found)}, expected ${inspect(expected)}`)
  }
}

export function holds(condition, what) {
  if (!condition) throw new Error(what)
}

/** The error of exactly this class that `action` rejects with. */
export async function rejected(ErrorClass, action) {
  try {
    await action()
  } catch (error) {
    if (error.constructor === ErrorClass) return error
    throw new Error(`${error.constructor.name} instead of ${ErrorClass.name}: ${error.message}`)
  }
  throw new Error(`no ${ErrorClass.name} was thrown`)
}

/** Everything a stream yields. */
export async function collect(stream) {
  const all = []
  for await (const one of stream) all.push(one)
  return all
}
