// The train stage with a prefix and with virtual tokens: it learns and writes what PEFT reads, packing and accumulation change no
// step, training begins from a text and goes on from a saved folder, and what cannot be is refused.
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { StageEvent } from "#src/domain/RunEvent.ts"
import type { StageTask } from "#src/domain/StageContext.ts"
import { loadModel } from "#src/models/load.ts"
import { openTensorFile, readTensor } from "#src/models/weights.ts"
import { freeze } from "#src/runtime/Frozen.ts"
import { readModelInfo } from "#src/runtime/ModelFolder.ts"
import { readText } from "#src/runtime/readText.ts"
import { openMerged, openModel } from "#src/runtime/RunnableModel.ts"
import { scoreRows } from "#src/runtime/Scorer.ts"
import { writeTokens } from "#src/store/tokens.ts"
import type { TrainConfig } from "#stages/train/stage.ts"
import { makeWorkspace, runHere, taskIn, tokensTable, type Workspace } from "./workspace.ts"

/** Every character its own token. */
const characters = "abcdefghijklmnopqrstuvwxyz "
const tokenizer = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: { type: "Split", pattern: { String: "" }, behavior: "Isolated", invert: false },
  post_processor: null,
  decoder: { type: "Fuse" },
  model: { type: "WordLevel", vocab: Object.fromEntries(characters.split("").map((each, id) => [each, id + 1])), unk_token: "a" }
}

let workspace: Workspace
let base = ""
beforeAll(async () => {
  workspace = await makeWorkspace()
  base = workspace.inputs["base"]!.path
  writeFileSync(join(base, "tokenizer.json"), JSON.stringify(tokenizer))
})
afterAll(() => workspace.clear())

type Options = typeof TrainConfig.Encoded

const outOf = (task: StageTask<TrainConfig>): string => join(task.workDir, "out", "model")
const tensorsOf = (folder: string, file = "adapter_model.safetensors"): ReadonlyMap<string, Float32Array> =>
  new Map([...openTensorFile(join(folder, file))].map(([name, tensor]) => [name, readTensor(tensor)]))
const trained = async (name: string, options: Options, events: StageEvent[] = []) => {
  const task = taskIn(workspace, name, options)
  const { metrics } = await runHere(task, undefined, events)
  return { folder: outOf(task), metrics }
}
const embeddingsOf = (folder: string): Float32Array => tensorsOf(folder).get("prompt_embeddings")!
const distance = (a: Float32Array, b: Float32Array): number => a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0)

const methods = {
  prefix: { type: "prefix", numVirtualTokens: 4 },
  "prefix with projection": { type: "prefix", numVirtualTokens: 4, projection: true, encoderHiddenSize: 8 },
  "virtual tokens": { type: "promptTuning", numVirtualTokens: 4 }
} as const
const kinds = Object.keys(methods) as (keyof typeof methods)[]
const peftTypes = { prefix: "PREFIX_TUNING", promptTuning: "PROMPT_TUNING" }
/** Values of each: 4 x 2 layers x 2 x 16; 4 x 16, 8 x 16 + 8, 64 x 8 + 64; 4 x 32. */
const sizes = { prefix: 256, "prefix with projection": 776, "virtual tokens": 128 }

describe.each(kinds)("%s", (kind) => {
  const method = methods[kind]
  const options: Options = { method, batchSize: 4, gradientAccumulationSteps: 2, epochs: 4, learningRate: 0.05 }

  test("learns, and the folder that comes out is PEFT's and computes the validation loss", async () => {
    const events: StageEvent[] = []
    const { folder, metrics } = await trained(kind, options, events)
    const valuesOf = (name: string) => events.flatMap((event) => (event._tag === "Metrics" ? (event.values[name] ?? []) : []))
    expect(valuesOf("validationLoss").length).toBe(4)
    const losses = valuesOf("loss")
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length
    expect(mean(losses.slice(-3))).toBeLessThan(mean(losses.slice(0, 3)) - 0.1)
    const info = await readModelInfo(folder)
    expect(info).toMatchObject({ method: method.type, parameters: { trainable: sizes[kind] } })
    expect(JSON.parse(readFileSync(join(folder, "adapter_config.json"), "utf8"))).toMatchObject({
      peft_type: peftTypes[method.type],
      num_virtual_tokens: 4
    })
    expect([...tensorsOf(folder).keys()]).toEqual(["prompt_embeddings"])
    expect(existsSync(join(folder, "encoder.safetensors"))).toBe(kind === "prefix with projection")

    const opened = await openModel(folder, () => Promise.resolve(base))
    const { nll, targets } = await scoreRows(opened, tokensTable(5, 2), { batchSize: 3, threads: 1 })
    const total = (numbers: Float64Array | Int32Array): number => [...numbers].reduce((a, b) => a + b, 0)
    expect(total(nll) / total(targets)).toBeCloseTo(metrics?.["validationLoss"] as number, 5)
    await expect(openMerged(folder, () => Promise.resolve(base))).rejects.toThrow(/cannot be worked into its base/)
  })

  test("a step is the same whole, accumulated and, for a prefix, packed; with what is dropped out too", async () => {
    for (const random of [{}, { attentionDropout: 0.1, residualDropout: 0.1, embeddingDropout: 0.1, neftuneNoiseAlpha: 5 }]) {
      const once: Options = { ...options, ...random, maxSteps: 1, learningRate: 1e-3 }
      const ways: Readonly<Record<string, Options>> = {
        whole: { ...once, batchSize: 22, gradientAccumulationSteps: 1 },
        accumulated: { ...once, batchSize: 3, gradientAccumulationSteps: 8 },
        ...(method.type === "prefix"
          ? { packed: { ...once, batchSize: 3, gradientAccumulationSteps: 8, packing: true, packLength: 48 } }
          : {})
      }
      const ends = []
      for (const [way, config] of Object.entries(ways)) ends.push(await trained(`${kind} ${way} ${JSON.stringify(random)}`, config))
      for (const { folder, metrics } of ends.slice(1)) {
        expect(Math.abs(metrics!["trainLoss"]! / ends[0]!.metrics!["trainLoss"]! - 1)).toBeLessThan(1e-6)
        expect(distance(embeddingsOf(folder), embeddingsOf(ends[0]!.folder))).toBeLessThan(2e-5)
      }
    }
  })

  test("goes on from a saved folder, where that holds what is trained", async () => {
    const { folder } = await trained(kind, options)
    const from = (path: string, name: string, more: Options = {}): StageTask<TrainConfig> => {
      const task = taskIn(workspace, name, { ...options, loadBestModelAtEnd: false, ...more })
      return { ...task, inputs: { ...task.inputs, adapter: { kind: "model", digest: "sha256:a", path } } }
    }
    const still = from(folder, `${kind} still`, { maxSteps: 1, learningRate: 1e-12 })
    await runHere(still)
    expect(distance(embeddingsOf(outOf(still)), embeddingsOf(folder))).toBeLessThan(1e-9)
    const on = from(folder, `${kind} on`)
    await runHere(on)
    expect(distance(embeddingsOf(outOf(on)), embeddingsOf(folder))).toBeGreaterThan(1e-2)

    // As PEFT writes it: without our file.
    const peft = join(workspace.folder, `${kind} of PEFT`)
    cpSync(folder, peft, { recursive: true })
    rmSync(join(peft, "encoder.safetensors"), { force: true })
    const task = from(peft, `${kind} peft`, { maxSteps: 1, learningRate: 1e-12 })
    if (kind === "prefix with projection") {
      await expect(runHere(task)).rejects.toMatchObject({ _tag: "DataError", message: "the adapter can be used, but not trained further" })
    } else {
      await runHere(task)
      expect(distance(embeddingsOf(outOf(task)), embeddingsOf(folder))).toBeLessThan(1e-9)
    }
    const wider = from(folder, `${kind} wider`, { method: { ...method, numVirtualTokens: 5 } })
    await expect(runHere(wider)).rejects.toThrow(/numVirtualTokens is 4 there, 5 in the method/)
  })
})

describe("begins from a text", () => {
  const text = "be kind"
  const still: Options = { maxSteps: 1, learningRate: 1e-12 }
  const reading = async () => {
    const { model, weights } = await loadModel(base)
    return readText(model, freeze(model.parameters, weights), [2, 5, 27, 11], 1)
  }

  test("a prefix: the base's own keys and values", async () => {
    const { folder } = await trained("prefix text", { ...still, method: { ...methods.prefix, init: { text } } })
    const { keys, values } = await reading()
    const rows = embeddingsOf(folder)
    // Place 2, layer 1, head 1 of 2, 8 wide: keys and values of 2 layers are 64 numbers a place.
    const at = (half: number): number => 2 * 64 + (2 * 1 + half) * 16 + 8
    for (const [half, source] of [keys[1]!, values[1]!].entries())
      expect(distance(rows.slice(at(half), at(half) + 8), source.slice((4 + 2) * 8, (4 + 3) * 8))).toBeLessThan(1e-9)
  })

  test("virtual tokens: the embeddings of its tokens; the config says which text", async () => {
    const { folder } = await trained("virtual text", { ...still, method: { ...methods["virtual tokens"], init: { text } } })
    expect(distance(embeddingsOf(folder), (await reading()).embeddings)).toBeLessThan(1e-9)
    expect(JSON.parse(readFileSync(join(folder, "adapter_config.json"), "utf8"))).toMatchObject({
      prompt_tuning_init: "TEXT",
      prompt_tuning_init_text: text,
      tokenizer_name_or_path: base
    })
  })

  test("the pull towards the start is towards the text", async () => {
    const config = (l2ToBase: number): Options => ({
      method: { ...methods.prefix, init: { text } },
      maxSteps: 3,
      learningRate: 0.01,
      l2ToBase
    })
    const start = await trained("anchor start", { ...config(0), ...still })
    const ends = [await trained("anchor off", config(0)), await trained("anchor on", config(100))]
    const [off, on] = ends.map(({ folder }) => distance(embeddingsOf(folder), embeddingsOf(start.folder)))
    expect(on).toBeLessThan(off!)
  })
})

describe("refused before any weight is read", () => {
  const refused = async (options: Options, error: object, inputs: StageTask["inputs"] = workspace.inputs): Promise<void> => {
    const events: StageEvent[] = []
    await expect(runHere({ ...taskIn(workspace, "refused", options), inputs }, undefined, events)).rejects.toMatchObject(error)
    // The line with the numbers of parameters comes when weights have been read.
    expect(events.filter((event) => event._tag === "Log")).toEqual([])
  }

  test("packing with virtual tokens", () =>
    refused({ method: methods["virtual tokens"], packing: true }, { _tag: "DefinitionError", where: "train.packing" }))

  test("a text that is too short, and one for a projection", async () => {
    await refused(
      { method: { ...methods.prefix, init: { text: "abc" } } },
      { message: expect.stringMatching(/has 3 tokens, numVirtualTokens is 4/) }
    )
    await refused(
      { method: { ...methods["prefix with projection"], init: { text: "abcdef" } } },
      { message: expect.stringMatching(/init from a text does not go together with projection/) }
    )
  })

  test.each(["prefix", "promptTuning"] as const)("more places than the model has: %s", async (type) => {
    await refused(
      { method: { type, numVirtualTokens: 97 } },
      {
        _tag: "DefinitionError",
        message: "numVirtualTokens 97 and rows of up to 32 tokens go beyond the model's max_position_embeddings, 128",
        hint: "set maxLength of the format stage to 31 or less, or ask for fewer virtual tokens"
      }
    )
  })

  test("a validation part of longer rows counts too", async () => {
    const path = join(workspace.folder, "long.arrow")
    const table = tokensTable(5, 2)
    await writeTokens(path, { ...table, meta: { ...table.meta, maxLength: 100 } })
    await refused(
      { method: { type: "prefix", numVirtualTokens: 40 } },
      { message: expect.stringMatching(/numVirtualTokens 40 and rows of up to 100 tokens/) },
      { ...workspace.inputs, validation: { ...workspace.inputs["validation"]!, path } }
    )
  })
})
