// Definitions that cannot be run say what is wrong, where, and what to type next.
import * as Schema from "effect/Schema"
import { describe, expect, test } from "vitest"
import { field, Positive, PositiveInt, required } from "#src/domain/config.ts"
import type { AnnealError } from "#src/domain/Errors.ts"
import type { PipelineDef, StageDef, StageKind } from "#src/domain/Pipeline.ts"
import { resolve } from "#src/engine/resolve.ts"

const Config = Schema.Struct({
  learningRate: field(Positive, 5e-5, "rate"),
  batchSize: field(PositiveInt, 8, "rows"),
  schedule: field(Schema.Literals(["linear", "cosine"]), "linear", "after warmup"),
  method: field(Schema.Struct({ r: field(PositiveInt, 8, "rank") }), {}, "method")
})
const kind = (
  name: string,
  inputs: Readonly<Record<string, string>>,
  outputs: Readonly<Record<string, string>>,
  config: Schema.Top = Config
): StageKind => ({
  kind: name,
  version: 1,
  config,
  inputs,
  outputs,
  run: async () => ({ run: async () => ({}) })
})
const rows = kind("ingest", {}, { rows: "rows" })
const train = kind("train", { tokens: "tokens", base: "base", validation: "tokens?" }, { model: "model" })
const format = kind("format", { rows: "rows" }, { tokens: "tokens" })

const stage = (id: string, of: StageKind, inputs: Readonly<Record<string, string>> = {}, config: StageDef["config"] = {}): StageDef => ({
  id,
  kind: of,
  config,
  inputs: Object.fromEntries(
    Object.entries(inputs).map(([name, from]) => {
      const [producer = "", output = ""] = from.split(".")
      return [name, { _tag: "Ref", stage: producer, output, kind: "any" } as const]
    })
  ),
  outputs: of.outputs
})
const pipelineOf = (...stages: readonly StageDef[]): PipelineDef => ({
  _tag: "Pipeline",
  id: "demo",
  sources: [{ id: "base", kind: "base", path: "models/tiny" }],
  stages
})
const good = pipelineOf(
  stage("ingest", rows),
  stage("format", format, { rows: "ingest.rows" }),
  stage("train", train, { tokens: "format.tokens", base: "base.base" })
)
const failure = (work: () => unknown): AnnealError => {
  try {
    work()
  } catch (error) {
    return error as AnnealError
  }
  throw new Error("nothing was thrown")
}
const trainConfig = (set: readonly string[]) => resolve(good, set).stages.find(({ id }) => id === "train")?.encoded

describe("--set", () => {
  test("reads values as JSON where they are JSON, else as text", () => {
    expect(trainConfig(["train.learningRate=1e-4", "train.schedule=cosine", "train.method.r=16"])).toEqual({
      learningRate: 1e-4,
      batchSize: 8,
      schedule: "cosine",
      method: { r: 16 }
    })
    expect(resolve(good, ["base.path=models/other"]).sources[0]?.path).toBe("models/other")
    expect(resolve(good, ["train.learningRate=1e-4"]).overrides).toEqual({ "train.learningRate": 1e-4 })
  })
  test("an unknown stage names the nearest", () => {
    const error = failure(() => resolve(good, ["trian.learningRate=1"]))
    expect(error).toMatchObject({
      _tag: "UsageError",
      message: expect.stringContaining("trian"),
      hint: expect.stringContaining("did you mean train?")
    })
  })
  test("a text that is no assignment, and a source's other fields", () => {
    expect(failure(() => resolve(good, ["train"]))._tag).toBe("UsageError")
    expect(failure(() => resolve(good, ["base.digest=1"])).message).toContain("only a path")
  })
})

test("every wrong field is listed: path, expected, actual value, nearest name", () => {
  const set = ['train.learningRate="fast"', "train.batchSize=1.5", "train.schedule=lin", "train.lerningRate=1", "train.method.rank=3"]
  const error = failure(() => resolve(good, set))
  expect(error._tag).toBe("DefinitionError")
  expect(error.where).toBe("stage train of pipeline demo")
  for (const part of [
    'learningRate: expected number, got "fast"',
    "batchSize: expected an integer, got 1.5",
    'schedule: expected "linear" | "cosine", got "lin"',
    "unknown option lerningRate (did you mean learningRate?)",
    "unknown option method.rank"
  ])
    expect(error.message).toContain(part)
})

test("a field that must be given", () => {
  const strict = kind("ingest", {}, { rows: "rows" }, Schema.Struct({ from: required(Schema.String, "file") }))
  expect(failure(() => resolve(pipelineOf(stage("ingest", strict)))).message).toContain("from")
})

describe("wires", () => {
  test.each<readonly [string, PipelineDef, string]>([
    [
      "a wrong kind names both ends",
      pipelineOf(stage("ingest", rows), stage("train", train, { tokens: "ingest.rows", base: "base.base" })),
      "train.tokens takes tokens, but ingest.rows gives rows"
    ],
    [
      "a base where a model belongs",
      pipelineOf(stage("format", format, { rows: "base.base" })),
      "format.rows takes rows, but base.base gives a base"
    ],
    ["a missing input", pipelineOf(stage("train", train, { base: "base.base" })), "train.tokens is missing: it takes tokens"],
    [
      "an output that is not there",
      pipelineOf(stage("ingest", rows), stage("format", format, { rows: "ingest.words" })),
      "format.rows reads ingest.words, which ingest does not produce"
    ],
    [
      "a stage of another pipeline",
      pipelineOf(stage("format", format, { rows: "elsewhere.rows" })),
      "elsewhere is wired in, but is not a stage of this pipeline"
    ],
    [
      "an input that the kind does not have",
      pipelineOf(stage("ingest", rows), stage("format", format, { rows: "ingest.rows", extra: "ingest.rows" })),
      "format has no input extra"
    ],
    [
      "all outputs of a stage at once",
      pipelineOf(stage("ingest", rows), {
        ...stage("format", format),
        inputs: {
          rows: { train: { _tag: "Ref", stage: "ingest", output: "rows" }, test: { _tag: "Ref", stage: "ingest", output: "rows" } } as never
        }
      }),
      "format.rows takes rows, but got several outputs: train, test"
    ],
    ["two stages of one name", pipelineOf(stage("ingest", rows), stage("ingest", rows)), "two stages are called ingest"],
    ["a stage with the name of a source", pipelineOf(stage("base", rows)), "two stages are called base"],
    ["a name that cannot be typed", pipelineOf(stage("in.gest", rows)), '"in.gest" cannot be a stage\'s id']
  ])("%s", (_, definition, message) => {
    const error = failure(() => resolve(definition))
    expect(error._tag).toBe("DefinitionError")
    expect(error.message).toBe(message)
    expect(error.hint).toBeTruthy()
  })

  test("a cycle is named in the direction of the data", () => {
    const loop = kind("loop", { rows: "rows" }, { rows: "rows" })
    const cycle = pipelineOf(
      stage("a", loop, { rows: "c.rows" }),
      stage("b", loop, { rows: "a.rows" }),
      stage("c", loop, { rows: "b.rows" })
    )
    expect(failure(() => resolve(cycle)).message).toBe("stages wait for each other: a -> b -> c -> a")
  })

  test("stages come after what they need, otherwise as written", () => {
    const mixed = pipelineOf(...[...good.stages].reverse())
    expect(resolve(mixed).stages.map(({ id }) => id)).toEqual(["ingest", "format", "train"])
    expect(resolve(mixed).stages.at(-1)?.needs).toEqual(["format"])
  })
})
