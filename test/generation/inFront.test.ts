// Adapters that put places in front of a text: the cache holds them, positions count them, and rows stay alone. Against the whole
// text through one graph without a cache; adapters of PEFT over every family that has some, and random ones over a tiny Llama.
import { beforeAll, describe, expect, test } from "vitest"
import type { AdapterMethod } from "#src/adapters/options.ts"
import { adapterOf, configOf, loadAdapter } from "#src/adapters/peft.ts"
import { loadModel } from "#src/models/load.ts"
import type { Model, Weights } from "#src/models/Model.ts"
import { freeze, inMemory } from "#src/runtime/Frozen.ts"
import { type GenerateOptions, Generator } from "#src/runtime/Generator.ts"
import type { Runnable } from "#src/runtime/RunnableModel.ts"
import { scoreRows } from "#src/runtime/Scorer.ts"
import { prefixMethod, promptTuningMethod } from "../adapters/method.ts"
import { casesOf } from "../parity/cases.ts"
import { shared } from "../shared.ts"
import { tinyModelFolder } from "./tinyModel.ts"
import { type Adapted, rowLosses, uncachedGreedy } from "./uncached.ts"

interface Case extends Adapted {
  readonly model: Model
  readonly base: Weights
}

const runnableOf = ({ model, base, adapter, weights }: Case): Runnable => ({
  model,
  adapter,
  parameters: [...freeze(model.parameters, base), ...inMemory(adapter.parameters, weights)]
})

const generate = async (given: Case, batchSize: number, prompts: readonly (readonly number[])[], options: GenerateOptions) => {
  const generator = new Generator(runnableOf(given), { batchSize, threads: 1 })
  try {
    return await generator.generate(prompts, options)
  } finally {
    await generator.release()
  }
}

const promptsOf = ({ vocabSize }: Model): readonly (readonly number[])[] =>
  [3, 11, 1, 30].map((length) => Array.from({ length }, (_, i) => (i * 37 + length) % vocabSize))

/** 40 tokens more than fit into the first cache, and beyond the windows of the families that have one. */
const options: GenerateOptions = { maxNewTokens: 40, eosTokenIds: [] }

const expectAsUncached = async (given: Case): Promise<void> => {
  const prompts = promptsOf(given.model)
  const together = await generate(given, 4, prompts, options)
  for (const [i, { ids }] of together.entries()) {
    const prompt = prompts[i]!
    const room = (given.model.positionLimit ?? Infinity) - (given.adapter.numVirtualTokens ?? 0) - prompt.length
    expect(ids.length).toBe(Math.min(40, room))
    // One pass over the whole text: each token must be the first choice behind those before it.
    const tokens = await rowLosses(given.model, given.base, [...prompt, ...ids], given)
    expect(tokens.slice(prompt.length - 1).map(({ first }) => first)).toEqual(ids.map(() => true))
  }
  expect(await generate(given, 1, prompts, options)).toEqual(together)
}

const peft = casesOf(/^(prefix|prompt_tuning)/)

describe.skipIf(peft.length === 0)("a folder of PEFT", () => {
  test.each(peft)("$base/$method", async ({ base, method }) => {
    const { model, weights } = await loadModel(shared("parity", "models", base, "hf"))
    const { adapter, weights: own } = await loadAdapter(shared("parity", "adapters", base, method, "adapter"), model)
    await expectAsUncached({ model, base: weights, adapter, weights: own })
  })
})

const methods: readonly (readonly [string, AdapterMethod])[] = [
  ["prefix", prefixMethod({ numVirtualTokens: 5 })],
  ["prefix with projection", prefixMethod({ numVirtualTokens: 5, projection: true, encoderHiddenSize: 6 })],
  ["promptTuning", promptTuningMethod({ numVirtualTokens: 5 })]
]

describe.each(methods)("%s over a tiny Llama", (_, method) => {
  let given: Case
  const caseOf = async (change: Readonly<Record<string, unknown>> = {}): Promise<Case> => {
    const { model, weights: base } = await loadModel(await tinyModelFolder(11, change))
    const adapter = adapterOf(model, configOf(model, method, ""))
    return { model, base, adapter, weights: adapter.initial(base, 2) }
  }
  beforeAll(async () => {
    given = await caseOf()
  })

  test("generates as without a cache, rows beside each other or alone, and otherwise than the base", async () => {
    await expectAsUncached(given)
    const prompts = promptsOf(given.model)
    const found = await generate(given, 4, prompts, options)
    expect(found[1]!.ids).not.toEqual(await uncachedGreedy(given.model, given.base, prompts[1]!, options.maxNewTokens))
  })

  test("the saved form computes the same", async () => {
    const { adapter, encode } = given.adapter.saved!
    const saved: Case = { ...given, adapter, weights: encode(given.weights) }
    const prompts = promptsOf(given.model)
    expect(await generate(saved, 4, prompts, options)).toEqual(await generate(given, 4, prompts, options))
  })

  test("the places count towards the model's longest text", async () => {
    const short = await caseOf({ max_position_embeddings: 20 })
    const [found] = await generate(short, 1, [[256, 1, 2]], { maxNewTokens: 100, eosTokenIds: [] })
    expect(found!.ids).toHaveLength(20 - 5 - 3)
    await expect(generate(short, 1, [Array.from({ length: 15 }, () => 1)], options)).rejects.toMatchObject({
      _tag: "DataError",
      why: "the model's max_position_embeddings is 20, of which the adapter takes 5"
    })
  })

  test("scores rows behind them", async () => {
    const lengths = [9, 4, 21]
    const rows = lengths.map((length, row) => Array.from({ length }, (_, t) => (row * 53 + t * t * 7) % 256))
    const tokens = {
      offsets: Int32Array.of(0, 9, 13, 34),
      tokens: Int32Array.from(rows.flat()),
      mask: Uint8Array.from(rows.flatMap((row) => row.map((_, t) => t % 2)))
    }
    const scores = await scoreRows(runnableOf(given), tokens, { batchSize: 2, threads: 1 })
    for (const [row, ids] of rows.entries()) {
      const losses = (await rowLosses(given.model, given.base, ids, given)).filter((_, t) => (t + 1) % 2 === 1)
      expect(scores.nll[row]).toBeCloseTo(
        losses.reduce((sum, { nll }) => sum + nll, 0),
        3
      )
      expect(scores.correct[row]).toBe(losses.filter(({ first }) => first).length)
    }
  })
})
