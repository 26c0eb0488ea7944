// Greedy text of real and reference models: transformers' own continuations, and the story that stories260K.md prints.
import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { type GenerateOptions, Generator } from "#src/runtime/Generator.ts"
import { openModel } from "#src/runtime/RunnableModel.ts"
import { textStream } from "#src/runtime/TextStream.ts"
import { loadTokenizer } from "#src/text/Tokenizer.ts"
import { hasShared, shared } from "../shared.ts"

const json = <T>(...path: readonly string[]): T => JSON.parse(readFileSync(shared(...path), "utf8")) as T
const stories = shared("data", "stories260k", "hf")

const generate = async (folder: string, prompts: readonly (readonly number[])[], options: GenerateOptions) => {
  const runnable = await openModel(folder, () => Promise.reject(new Error("no base is needed")))
  const generator = new Generator(runnable, { batchSize: 4, threads: 1 })
  const found = await generator.generate(prompts, options)
  await generator.release()
  return found.map(({ ids }) => ids)
}

interface Greedy {
  readonly greedy: { readonly prompt: readonly number[]; readonly new_ids: readonly number[] }
}
interface Case {
  readonly model: string
  readonly prompt: readonly number[]
  readonly greedy: readonly number[]
  readonly "repetition_penalty_1.2": readonly number[]
  readonly "repetition_penalty_1.7": readonly number[]
  readonly eos: { readonly eos_token_id: number; readonly new_ids_including_eos: readonly number[] }
  readonly eos_list: { readonly eos_token_id: readonly number[]; readonly new_ids_including_eos: readonly number[] }
  readonly left_padded_batch: {
    readonly input_ids: readonly (readonly number[])[]
    readonly attention_mask: readonly (readonly number[])[]
    readonly eos_token_id: number
    readonly new_ids: readonly (readonly number[])[]
  }
}

describe.skipIf(!hasShared)("greedy text of reference models", () => {
  test.for(["llama", "llama-untied", "llama-bf16", "llama-pad-is-eos"])("models/%s", async (name) => {
    const { prompt, new_ids } = json<Greedy>("parity", "models", name, "golden.json").greedy
    const found = await generate(shared("parity", "models", name, "hf"), [prompt], { maxNewTokens: new_ids.length, eosTokenIds: [] })
    expect(found).toEqual([new_ids])
  })

  test.for(["models/llama/hf", "stories260k"])("decoding.json: %s", async (name) => {
    const reference = json<{ readonly cases: readonly Case[] }>("parity", "generation", "decoding.json").cases.find(
      (c) => c.model === name
    )!
    const folder = name === "stories260k" ? stories : shared("parity", name)
    const free = { maxNewTokens: reference.greedy.length, eosTokenIds: [] }
    expect(await generate(folder, [reference.prompt], free)).toEqual([reference.greedy])
    for (const penalty of ["1.2", "1.7"] as const) {
      const found = await generate(folder, [reference.prompt], { ...free, repetitionPenalty: Number(penalty) })
      expect(found).toEqual([reference[`repetition_penalty_${penalty}`]])
    }
    for (const { eos_token_id, new_ids_including_eos } of [reference.eos, reference.eos_list]) {
      const found = await generate(folder, [reference.prompt], { ...free, eosTokenIds: [eos_token_id].flat() })
      expect(found).toEqual([new_ids_including_eos.slice(0, -1)])
    }
    const { input_ids, attention_mask, eos_token_id, new_ids } = reference.left_padded_batch
    const prompts = input_ids.map((row, i) => row.filter((_, t) => attention_mask[i]![t] === 1))
    const ended = new_ids.map((row) => (row.includes(eos_token_id) ? row.slice(0, row.indexOf(eos_token_id)) : row))
    expect(await generate(folder, prompts, { ...free, eosTokenIds: [eos_token_id] })).toEqual(ended)
  })

  test("stories260k: independent goldens", async () => {
    type Golden = Readonly<Record<string, { readonly ids?: readonly number[]; readonly greedy32?: readonly number[] }>>
    const goldens = Object.values(json<Readonly<Record<string, Golden>>>("data", "goldens", "model_goldens.json")["stories260k/hf"]!)
    const cases = goldens.flatMap(({ ids, greedy32 }) => (ids === undefined || greedy32 === undefined ? [] : [{ ids, greedy32 }]))
    expect(cases.length).toBe(3)
    const found = await generate(
      stories,
      cases.map(({ ids }) => ids),
      { maxNewTokens: 32, eosTokenIds: [] }
    )
    expect(found).toEqual(cases.map(({ greedy32 }) => greedy32))
  })

  test("stories260k: the story of its own page, streamed", async () => {
    const page = readFileSync(shared("data", "stories260k", "stories260K.md"), "utf8")
    const story = /-t 0\.0\n([^]*?)\n```/.exec(page)![1]!
    const tokenizer = await loadTokenizer(stories)
    const stream = textStream((ids) => tokenizer.decode(ids), [])
    let text = ""
    await generate(stories, [[1]], { maxNewTokens: 256, eosTokenIds: [1, 2], onToken: (_, id) => void (text += stream.push(id)) })
    expect((text + stream.end()).trim()).toBe(story)
  })
})
