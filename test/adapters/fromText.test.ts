// Adapters that begin from a text: behind a fresh one, the base computes what it computes behind the text itself.
import { beforeAll, describe, expect, test } from "vitest"
import type { AdapterMethod } from "#src/adapters/options.ts"
import { adapterOf, configOf } from "#src/adapters/peft.ts"
import { loadModel } from "#src/models/load.ts"
import type { Model, Weights } from "#src/models/Model.ts"
import { freeze } from "#src/runtime/Frozen.ts"
import { readText } from "#src/runtime/readText.ts"
import { tinyModelFolder } from "../generation/tinyModel.ts"
import { logitsOf } from "../generation/uncached.ts"
import { hasShared, shared } from "../shared.ts"
import { isKnown } from "../parity/cases.ts"
import { prefixMethod, promptTuningMethod } from "./method.ts"

const count = 6
const methods: readonly (readonly [string, AdapterMethod])[] = [
  ["prefix", prefixMethod({ numVirtualTokens: count, init: { text: "a text" } })],
  ["promptTuning", promptTuningMethod({ numVirtualTokens: count, init: { text: "a text" } })]
]

const expectAsText = async (model: Model, base: Weights, method: AdapterMethod): Promise<void> => {
  const adapter = adapterOf(model, configOf(model, method, ""))
  const text = adapter.fromText!.tokens([3, 17, 4, 29, 40, 8, 11, 25])
  expect(text).toEqual([3, 17, 4, 29, 40, 8])
  const weights = adapter.fromText!.initial(await readText(model, freeze(model.parameters, base), text, 1))
  const ids = Array.from({ length: 15 }, (_, i) => (i * 7 + 2) % 60)
  const behind = await logitsOf(model, base, ids, { adapter, weights })
  const whole = (await logitsOf(model, base, [...text, ...ids])).subarray(count * model.vocabSize)
  const plain = await logitsOf(model, base, ids)
  const distance = (a: Float32Array, b: Float32Array): number => a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0)
  expect(distance(behind, whole)).toBeLessThan(5e-5)
  expect(distance(behind, plain)).toBeGreaterThan(0.1)
}

describe.each(methods)("%s", (_, method) => {
  let folder: string
  beforeAll(async () => {
    folder = await tinyModelFolder(4)
  })

  test("a tiny Llama", async () => {
    const { model, weights } = await loadModel(folder)
    await expectAsText(model, weights, method)
  })

  // One of each family: windows, norms of keys, factors of the embedding, learned positions.
  const bases = ["llama", "mistral", "qwen2", "qwen3", "phi3", "smollm3", "gemma3_text", "gpt2"].filter(
    (base) => hasShared && isKnown(base)
  )
  test.each(bases)("%s", async (base) => {
    const { model, weights } = await loadModel(shared("parity", "models", base, "hf"))
    await expectAsText(model, weights, method)
  })
})

test("a text that is too short is refused for a prefix, begun again for virtual tokens, as PEFT does", async () => {
  const { model } = await loadModel(await tinyModelFolder(4))
  const [prefix, prompt] = methods.map(([, method]) => adapterOf(model, configOf(model, method, "")).fromText!)
  expect(() => prefix!.tokens([1, 2])).toThrow(/the text of init has 2 tokens, numVirtualTokens is 6/)
  expect(prompt!.tokens([1, 2, 3, 4])).toEqual([1, 2, 3, 4, 1, 2])
  expect(() => prompt!.tokens([])).toThrow(/the text of init has no tokens/)
})

test("options that do not go together are refused", async () => {
  const { model } = await loadModel(await tinyModelFolder(4))
  const config = (options: Parameters<typeof prefixMethod>[0]) => () => configOf(model, prefixMethod(options), "")
  expect(config({ projection: true, init: { text: "a" } })).toThrow(/init from a text does not go together with projection/)
  expect(config({ encoderHiddenSize: 8 })).toThrow(/encoderHiddenSize is set without projection/)
  expect(config({ projection: true })()).toMatchObject({ encoderHiddenSize: 16, tokenDim: 16, numAttentionHeads: 2, numLayers: 2 })
  expect(() => prefixMethod({ numVirtualTokens: 0 })).toThrow(/numVirtualTokens/)
  expect(() => promptTuningMethod({ numVirtualTokens: 0 })).toThrow(/numVirtualTokens/)
})

test("a prefix of another model is refused", async () => {
  const { model } = await loadModel(await tinyModelFolder(4))
  const config = configOf(model, prefixMethod(), "")
  const { model: other } = await loadModel(await tinyModelFolder(4, { num_key_value_heads: 1 }))
  expect(() => adapterOf(other, config)).toThrow(/the prefix is for 2 layers with 2 key heads, 16 wide together/)
})
