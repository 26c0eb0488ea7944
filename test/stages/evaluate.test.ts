// evaluate: figures equal to those of plain forward passes, both sides alike, answers against references, and what it refuses.
import { mkdtempSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Schema from "effect/Schema"
import { beforeAll, describe, expect, test } from "vitest"
import { Scores } from "#src/domain/Scores.ts"
import type { PromptFormat } from "#src/domain/Tokens.ts"
import { loadModel } from "#src/models/load.ts"
import { Generator } from "#src/runtime/Generator.ts"
import { openModel } from "#src/runtime/RunnableModel.ts"
import { type TokensTable, writeTokens } from "#src/store/tokens.ts"
import { loadTokenizer } from "#src/text/Tokenizer.ts"
import { run } from "#stages/evaluate/run.ts"
import { type EvaluateConfig, evaluateKind } from "#stages/evaluate/stage.ts"
import { tinyAdapter, tinyFull, tinyMeta, tinyModelFolder } from "../generation/tinyModel.ts"
import { rowLosses } from "../generation/uncached.ts"
import { hasShared, shared } from "../shared.ts"
import { context, type TestContext } from "./context.ts"

interface TestRow {
  readonly prompt: readonly number[]
  readonly answer: readonly number[]
  readonly reference: string
}

const texts = ["one plus two", "a", "what is the name of the guest?", "three nights", "x = 4", "ok"]
let base: string
let full: string
let tokenizerDigest: string
let rows: readonly TestRow[]
let tokens: string

const tokensFile = async (of: readonly TestRow[], format: Partial<PromptFormat> = {}, more: Partial<TokensTable["meta"]> = {}) => {
  const path = join(mkdtempSync(join(tmpdir(), "anneal-tokens-")), "tokens.arrow")
  const all = of.map(({ prompt, answer }) => [...prompt, ...answer])
  await writeTokens(path, {
    meta: { ...tinyMeta, tokenizerDigest, ...more, promptFormat: { ...tinyMeta.promptFormat, ...format } },
    ids: of.map((_, i) => `row${i}`),
    offsets: Int32Array.from([0, ...all].map((_, i) => all.slice(0, i).reduce((sum, row) => sum + row.length, 0))),
    tokens: Int32Array.from(all.flat()),
    mask: Uint8Array.from(of.flatMap(({ prompt, answer }) => [...prompt.map(() => 0), ...answer.map(() => 1)])),
    promptLength: Int32Array.from(of, ({ prompt }) => prompt.length),
    reference: of.map(({ reference }) => reference)
  })
  return path
}

/** As the plan settles it. */
const evaluating = (config: typeof evaluateKind.config.Encoded, inputs: Readonly<Record<string, string>>): TestContext<EvaluateConfig> =>
  context(evaluateKind, { device: "cpu", ...config }, inputs) as TestContext<EvaluateConfig>

const evaluate = async (
  config: typeof evaluateKind.config.Encoded,
  inputs: Partial<Record<"model" | "tokens" | "baseline", string>> = {}
) => {
  const c = evaluating(config, { model: full, tokens, baseline: base, ...inputs })
  const result = await run(c)
  const text = readFileSync(c.output("scores"), "utf8")
  return { result, text, scores: Schema.decodeUnknownSync(Schema.fromJsonString(Scores))(text), events: c.events }
}

beforeAll(async () => {
  base = await tinyModelFolder(1)
  full = await tinyFull(base, 2)
  const tokenizer = await loadTokenizer(base)
  tokenizerDigest = tokenizer.digest
  // References are the full model's own answers, but for the last row: so it matches all others and the base hardly any.
  const prompts = texts.map((text) => [256, ...tokenizer.encode(text)])
  const generator = new Generator(await openModel(full, () => Promise.reject(new Error("no base"))), { batchSize: 8, threads: 1 })
  const generated = await generator.generate(prompts, { maxNewTokens: 6, eosTokenIds: [257] })
  await generator.release()
  rows = prompts.map((prompt, i) => {
    const { ids } = generated[i]!
    return { prompt, answer: [...ids, 257], reference: i === texts.length - 1 ? "never said" : ` ${tokenizer.decode(ids)}\n` }
  })
  tokens = await tokensFile(rows)
})

/** Loss and hits of a folder's model over the trained tokens, from plain forward passes. */
const plainly = async (folder: string) => {
  const { model, weights } = await loadModel(folder)
  const counted = []
  for (const { prompt, answer } of rows) counted.push(...(await rowLosses(model, weights, [...prompt, ...answer])).slice(prompt.length - 1))
  return {
    tokens: counted.length,
    perplexity: Math.exp(counted.reduce((sum, { nll }) => sum + nll, 0) / counted.length),
    tokenAccuracy: counted.filter(({ first }) => first).length / counted.length
  }
}

describe("evaluate", () => {
  test("figures are those of plain forward passes, on both sides", async () => {
    const { result, scores, events } = await evaluate({
      metrics: ["perplexity", "tokenAccuracy", "exactMatch"],
      maxNewTokens: 6,
      batchSize: 4
    })
    const [model, baseline] = [await plainly(full), await plainly(base)]
    expect(scores).toMatchObject({ rows: texts.length, tokens: model.tokens })
    expect(scores.metrics["perplexity"]!.model! / model.perplexity).toBeCloseTo(1, 4)
    expect(scores.metrics["perplexity"]!.baseline! / baseline.perplexity).toBeCloseTo(1, 4)
    expect(scores.metrics["tokenAccuracy"]).toMatchObject({ model: model.tokenAccuracy, baseline: baseline.tokenAccuracy })
    expect(model.tokenAccuracy).toBeGreaterThan(0.5)
    for (const { model: figure, rows: made } of Object.values(scores.metrics)) {
      expect(made!.ids).toHaveLength(texts.length)
      const [part, whole] = [made!.part, made!.whole].map((values) => values.reduce<number>((sum, value) => sum + value!, 0))
      expect([part! / whole!, Math.exp(part! / whole!)].some((ofRows) => Math.abs(ofRows / figure! - 1) < 1e-6)).toBe(true)
    }
    expect(scores.metrics["exactMatch"]).toMatchObject({ model: 5 / 6, better: "higher" })
    expect(scores.metrics["exactMatch"]!.baseline).toBeLessThan(0.5)
    expect(scores.metrics["exactMatch"]!.difference!.low).toBeGreaterThan(0)
    expect(result.metrics).toMatchObject({
      perplexity: scores.metrics["perplexity"]!.model,
      "baseline.perplexity": scores.metrics["perplexity"]!.baseline
    })
    expect(result.summary).toMatch(/^perplexity \S+ \(base \S+\), tokenAccuracy \S+ \(base \S+\), exactMatch 0\.8333 \(base \S+\)$/)
    const progress = events.flatMap((event) => (event._tag === "Progress" ? [event] : []))
    expect(progress.at(-1)).toEqual({ _tag: "Progress", done: 4 * texts.length, total: 4 * texts.length, unit: "rows" })
    expect(scores.samples.map(({ id, prompt }) => ({ id, prompt }))).toEqual([0, 2, 4].map((i) => ({ id: `row${i}`, prompt: texts[i] })))
    for (const { model: after, baseline: before, reference } of scores.samples) {
      expect(after).toBe(reference.trim())
      expect(before).not.toBe(after)
    }
  })

  test("the same inputs give the same bytes; the batch size changes no answer", async () => {
    const config = { metrics: ["exactMatch"] as const, maxNewTokens: 6, samples: 6 }
    const { text } = await evaluate(config)
    expect((await evaluate(config)).text).toBe(text)
    expect((await evaluate({ ...config, batchSize: 1 })).text).toBe(text)
  })

  test("maxRows limits what is generated, not what is scored", async () => {
    const { scores, events } = await evaluate({ metrics: ["perplexity", "exactMatch"], maxRows: 2, maxNewTokens: 6 })
    expect(scores.metrics["exactMatch"]!.model).toBe(1)
    expect(scores.samples.map(({ id }) => id)).toEqual(["row0", "row1"])
    expect(events.at(-1)).toMatchObject({ done: 2 * (texts.length + 2) })
  })

  test("a row that was cut off inside its prompt is not asked", async () => {
    const cut = { prompt: [256, 97, 98], answer: [], reference: "never seen" }
    const { scores } = await evaluate({ metrics: ["exactMatch"], maxNewTokens: 6 }, { tokens: await tokensFile([cut, rows[0]!]) })
    expect(scores.metrics["exactMatch"]!.model).toBe(1)
    expect(scores.samples.map(({ id }) => id)).toEqual(["row1"])
  })

  test("an adapter is measured over the baseline, and only over that", async () => {
    const { folder } = await tinyAdapter(base, 7)
    const { scores } = await evaluate({ samples: 0 }, { model: folder })
    expect(scores.metrics["perplexity"]!.baseline! / (await plainly(base)).perplexity).toBeCloseTo(1, 4)
    expect(scores.metrics["perplexity"]!.model).not.toBeCloseTo(scores.metrics["perplexity"]!.baseline!, 2)
    const c = evaluating({}, { model: folder, tokens, baseline: base })
    const elsewhere = { ...c, inputs: { ...c.inputs, baseline: { ...c.inputs["baseline"]!, digest: "sha256:other" } } }
    await expect(run(elsewhere)).rejects.toMatchObject({
      _tag: "DataError",
      message: "the adapter was trained over another base than the baseline"
    })
  })

  test("text rows: bits per byte beside perplexity, samples continue the first half", async () => {
    const text = { prompt: [256], answer: [...Buffer.from("a long winter")], reference: "" }
    const { scores } = await evaluate({ samples: 1, maxNewTokens: 4 }, { tokens: await tokensFile([text], { rowKind: "text" }) })
    const { perplexity, bitsPerByte } = scores.metrics
    // One byte a token here.
    expect(bitsPerByte!.model).toBeCloseTo(Math.log2(perplexity!.model!), 10)
    expect(scores.samples).toMatchObject([{ prompt: "a long", reference: "winter" }])
  })

  test.skipIf(!hasShared)("a real pretrained model has its stated zero-shot loss", async () => {
    const stories = shared("data", "stories260k", "hf")
    const tokenizer = await loadTokenizer(stories)
    const paragraphs = readFileSync(shared("data", "tinystories-sample", "tinystories_b.txt"), "utf8").split("\n\n")
    const of = paragraphs
      .filter((text) => text.length > 100)
      .slice(0, 50)
      .map((text) => ({ prompt: [1], answer: tokenizer.encode(text).slice(0, 255), reference: "" }))
    const file = await tokensFile(of, { rowKind: "text" }, { vocabSize: 512, tokenizerDigest: tokenizer.digest })
    const { scores } = await evaluate({ samples: 0 }, { model: stories, baseline: stories, tokens: file })
    expect(scores.tokens).toBe(5058)
    expect(Math.log(scores.metrics["perplexity"]!.model!)).toBeCloseTo(1.4773, 4)
    expect(scores.metrics["perplexity"]).toMatchObject({ baseline: scores.metrics["perplexity"]!.model, difference: { low: 0, high: 0 } })
  })

  test("Alpaca's fixed sentences are left out of the samples", async () => {
    const prompt = "Below is an instruction.\n\n### Instruction:\nSay hi\n\n### Response:"
    const row = { prompt: [256, ...Buffer.from(prompt)], answer: [104, 105, 257], reference: "hi" }
    const { scores } = await evaluate(
      { samples: 1, maxNewTokens: 2 },
      { tokens: await tokensFile([row], { rowKind: "instruction", template: "alpaca" }) }
    )
    expect(scores.samples[0]!.prompt).toBe("Say hi")
  })

  const refused: readonly (readonly [string, EvaluateConfig["metrics"], () => Promise<string>, object])[] = [
    [
      "exact match of text rows",
      ["exactMatch"],
      () => tokensFile(rows, { rowKind: "text" }),
      { _tag: "DefinitionError", message: expect.stringMatching(/exactMatch.*text rows/), where: "stage.metrics" }
    ],
    [
      "rows without a trained token",
      ["perplexity"],
      () => tokensFile([{ prompt: [256, 1], answer: [], reference: "" }]),
      { _tag: "DataError", message: expect.stringContaining("no row has a trained token") }
    ],
    [
      "tokens of another vocabulary",
      ["perplexity"],
      () => tokensFile(rows, {}, { vocabSize: 999 }),
      { _tag: "DataError", why: expect.stringMatching(/999.*258/) }
    ],
    [
      "tokens of another tokenizer",
      ["perplexity"],
      () => tokensFile(rows, {}, { tokenizerDigest: "sha256:other" }),
      { _tag: "DataError", why: expect.stringContaining("tokenizer files") }
    ]
  ]
  test.for(refused)("%s are refused", async ([, metrics, file, error]) => {
    await expect(evaluate({ metrics }, { tokens: await file() })).rejects.toMatchObject(error)
  })

  test("a stop is heeded within a batch", async () => {
    const c = evaluating({ batchSize: 1 }, { model: full, tokens, baseline: base })
    const stopped = { ...c, stopRequested: () => c.events.length >= 2 }
    await expect(run(stopped)).rejects.toMatchObject({ _tag: "InterruptedError", message: "stopped after 2 of 18 rows" })
  })
})
