// Generation with a cache against the whole text without one, rows beside each other against rows alone, adapters against their hook.
import { beforeAll, describe, expect, test } from "vitest"
import { loadModel } from "#src/models/load.ts"
import { Generator } from "#src/runtime/Generator.ts"
import { type FindBase, openModel, type RunnableModel } from "#src/runtime/RunnableModel.ts"
import { tinyAdapter, tinyModelFolder } from "./tinyModel.ts"
import { uncachedGreedy } from "./uncached.ts"

const noBase: FindBase = () => Promise.reject(new Error("no base is needed"))
const prompts = [[256, 72, 101], [256, 1, 2, 3, 4, 5, 6, 7, 8, 9], [256], [256, ...Array.from({ length: 40 }, (_, i) => (i * 37) % 256)]]
const options = { maxNewTokens: 30, eosTokenIds: [257] }

const generate = async (runnable: RunnableModel, batchSize: number, of = prompts, how: Parameters<Generator["generate"]>[1] = options) => {
  const generator = new Generator(runnable, { batchSize, threads: 1 })
  try {
    return await generator.generate(of, how)
  } finally {
    await generator.release()
  }
}

describe("generation", () => {
  let folder: string
  let runnable: RunnableModel
  beforeAll(async () => {
    folder = await tinyModelFolder(11)
    runnable = await openModel(folder, noBase)
  })

  test("a cache changes nothing, also where it grows", async () => {
    const { model, weights } = await loadModel(folder)
    const found = await generate(runnable, 4)
    for (const [i, { ids }] of found.entries()) {
      expect(ids).toEqual(await uncachedGreedy(model, weights, prompts[i]!, options.maxNewTokens, { eos: options.eosTokenIds }))
    }
    // 10 + 60 tokens do not fit into the first cache of 64 places.
    const two = prompts.slice(0, 2)
    const long = await generate(runnable, 2, two, { maxNewTokens: 60, eosTokenIds: [] })
    for (const [i, { ids }] of long.entries()) expect(ids).toEqual(await uncachedGreedy(model, weights, two[i]!, 60))
  })

  test("rows do not influence each other, greedy or drawn", async () => {
    for (const how of [options, { ...options, sampling: { temperature: 0.8, topK: 40, topP: 0.95, seed: 3 }, repetitionPenalty: 1.1 }]) {
      const together = await generate(runnable, 4, prompts, how)
      expect(await generate(runnable, 1, prompts, how)).toEqual(together)
      expect(await generate(runnable, 3, prompts, how)).toEqual(together)
    }
  })

  test("a seed makes drawn text reproducible; another seed gives another text", async () => {
    const drawn = (seed: number) => generate(runnable, 2, prompts, { ...options, sampling: { seed } })
    expect(await drawn(1)).toEqual(await drawn(1))
    expect(await drawn(1)).not.toEqual(await drawn(2))
  })

  test("an answer ends before its end-of-sequence id, and tokens are told as they come", async () => {
    const [free] = await generate(runnable, 1, [prompts[0]!], { maxNewTokens: 20, eosTokenIds: [] })
    const eos = free!.ids[7]!
    const told: number[] = []
    const how = { maxNewTokens: 20, eosTokenIds: [eos], onToken: (_: number, id: number) => void told.push(id) }
    const [ended] = await generate(runnable, 1, [prompts[0]!], how)
    expect(ended).toEqual({ ids: free!.ids.slice(0, free!.ids.indexOf(eos)), finish: "eos" })
    expect(told).toEqual(ended!.ids)
    expect(free!.finish).toBe("length")
  })

  test("text ends where the model's positions end; a prompt that leaves no room is refused by name", async () => {
    const short = await openModel(await tinyModelFolder(5, { max_position_embeddings: 20 }), noBase)
    const [found] = await generate(short, 1, [[256, 1, 2]], { maxNewTokens: 100, eosTokenIds: [] })
    expect(found).toMatchObject({ finish: "length" })
    expect(found!.ids).toHaveLength(17)
    await expect(generate(short, 1, [[256], Array.from({ length: 20 }, () => 1)])).rejects.toMatchObject({
      _tag: "DataError",
      where: "prompt 2",
      why: "the model's max_position_embeddings is 20"
    })
    await expect(generate(short, 1, [[]])).rejects.toMatchObject({ _tag: "DataError", message: expect.stringContaining("empty prompt") })
  })

  test("an adapter merged in memory continues as the adapter in the graph does", async () => {
    const { model, weights } = await loadModel(folder)
    const adapter = await tinyAdapter(folder, 3)
    const asked: unknown[] = []
    const merged = await openModel(adapter.folder, async (base) => {
      asked.push(base)
      return base!.path
    })
    expect(asked).toEqual([{ path: folder, digest: "sha256:baseline" }])
    expect(merged.info?.method).toBe("lora")
    const found = await generate(merged, 4)
    expect(found).not.toEqual(await generate(runnable, 4))
    for (const [i, { ids }] of found.entries()) {
      const adapted = { eos: options.eosTokenIds, adapter }
      expect(ids).toEqual(await uncachedGreedy(model, weights, prompts[i]!, options.maxNewTokens, adapted))
    }
  })
})
