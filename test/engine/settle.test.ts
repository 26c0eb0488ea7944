// What a config leaves to the plan: the settled value is what the stage is given and what stands in its key.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Schema from "effect/Schema"
import { expect, test, vi } from "vitest"
import type { PlannedInput, StageKind } from "#src/domain/Pipeline.ts"
import { DefinitionError } from "#src/domain/Errors.ts"
import { runViewOf } from "#src/domain/RunView.ts"
import { addStage, baseModel, pipeline } from "#src/engine/define.ts"
import { repository, startHub } from "../store/hubServer.ts"
import { type Bench, counting, decisions } from "./stages.ts"
import { bench } from "./support.ts"

const Config = Schema.Struct({
  counter: Schema.String,
  size: Schema.Union([Schema.Int, Schema.Literal("auto")]),
  place: Schema.optionalKey(Schema.String),
  /** Changes no result, as memoryLimit. */
  limit: Schema.optionalKey(Schema.Int)
})
type Config = typeof Config.Type

/** Reads a base and rows; its size is a tenth of the limit, and told only where the base is here. */
const sized = (seen: Readonly<Record<string, PlannedInput>>[] = []): StageKind =>
  counting(
    "sized",
    { base: "base", rows: "text" },
    async (context) => writeFileSync(context.output("out"), String((context.config as unknown as Config).size)),
    {
      config: Config,
      executionOnly: ["counter", "limit", "place"],
      files: () => ({}),
      facts: ({ place }: Config) => ({ place: place ?? "" }),
      settle: async () => ({
        settle: ({ size, limit = 100 }: Config, inputs, stage) => {
          seen.push(inputs)
          const values = { place: "here" }
          if (size !== "auto") return { values }
          if (limit < 0) throw new DefinitionError({ message: "no limit below 0", where: `${stage}.limit` })
          if (inputs["base"]?.path === undefined) return { values, open: ["size"] }
          return { values: { ...values, size: Math.floor(limit / 10) }, ...(limit < 10 ? { warning: "nothing fits" } : {}) }
        }
      })
    }
  )

const sizedPipeline = (b: Bench, config: Readonly<Record<string, unknown>>, base = "base", kind = sized()) =>
  pipeline("sized", () => {
    const rows = b.add(counting("rows", {}), {}, { text: "r" })
    const out = addStage<{ out: "text" }>(kind, { base: baseModel(base), rows }, { counter: join(b.root, "counter.txt"), ...config })
    b.add(counting("after", { a: "text" }), { a: out })
  })

const localBase = (b: Bench): void => {
  mkdirSync(join(b.root, "base"))
  writeFileSync(join(b.root, "base/config.json"), "{}")
}

test("the settled value is run, keyed, told, and shared by every limit that leads to it, and by who writes it", async () => {
  const b = bench()
  localBase(b)
  const first = await b.run(sizedPipeline(b, { size: "auto", limit: 85 }))
  expect(first.outcome).toBe("done")
  expect(b.ran()).toEqual(["rows", "sized", "after"])
  expect(first.plan.find(({ id }) => id === "sized")?.auto).toEqual({ place: "here", size: 8 })
  expect(first.plan.find(({ id }) => id === "rows")).not.toHaveProperty("auto")
  const view = runViewOf(b.events)
  expect(view.stages.find(({ id }) => id === "sized")?.auto).toEqual({ place: "here", size: 8 })
  expect(view.stages.find(({ id }) => id === "after")?.auto).toEqual({})
  expect(view.config["sized"]).toMatchObject({ size: 8 })
  const started = b.events.find((event) => event._tag === "StageStarted" && event.stage === "sized")
  expect(started).toMatchObject({
    manifest: expect.arrayContaining([
      { path: "config.size", type: "int", value: 8 },
      { path: "fact.place", type: "string", value: "here" }
    ]) as unknown
  })

  for (const config of [{ size: "auto", limit: 89 }, { size: 8 }]) {
    expect(decisions(await b.prepare(sizedPipeline(b, config)))).toEqual({ rows: "reuse", sized: "reuse", after: "reuse" })
  }
  const smaller = await b.prepare(sizedPipeline(b, { size: "auto", limit: 70 }))
  expect(smaller.plan.find(({ id }) => id === "sized")).toMatchObject({
    decision: "run",
    auto: { place: "here", size: 7 },
    reason: { code: "config", field: "config.size", from: 8, to: 7 }
  })
})

test("what settles is given its inputs as they are wired; warnings and errors name the stage", async () => {
  const b = bench()
  localBase(b)
  const seen: Readonly<Record<string, PlannedInput>>[] = []
  const { warnings } = await b.prepare(sizedPipeline(b, { size: "auto", limit: 5 }, "base", sized(seen)))
  expect(seen).toEqual([
    {
      base: { path: join(b.root, "base") },
      rows: { producer: { id: "rows", builtin: { kind: "rows", config: expect.objectContaining({ text: "r" }) as unknown } } }
    }
  ])
  expect(warnings).toEqual(["sized: nothing fits"])
  await expect(b.prepare(sizedPipeline(b, { size: "auto", limit: -1 }))).rejects.toMatchObject({
    _tag: "DefinitionError",
    where: "sized.limit"
  })
})

test("before a download a value may be open: the plan is maybe where a result is stored, and a run settles it", async () => {
  const server = await startHub()
  vi.stubEnv("HF_ENDPOINT", server.endpoint)
  vi.stubEnv("HF_HUB_OFFLINE", "")
  vi.stubEnv("ANNEAL_HUB_CACHE", "")
  const b = bench()
  server.push("org/name", repository())
  const definition = sizedPipeline(b, { size: "auto" }, "hf:org/name")
  const fresh = await b.prepare(definition)
  expect(fresh.plan.find(({ id }) => id === "sized")).toMatchObject({ decision: "run", key: null, auto: { place: "here", size: null } })
  expect(await b.run(definition, { download: (work) => work({ onEvent: () => undefined }) })).toMatchObject({ outcome: "done" })
  expect(decisions(await b.prepare(definition))).toEqual({ rows: "reuse", sized: "reuse", after: "reuse" })
  b.ran()

  // The branch moves to a commit with the same bytes, which a plan cannot know.
  server.push("org/name", { ...repository(), "README.md": Buffer.from("a word more") })
  const moved = await b.prepare(definition)
  expect(decisions(moved)).toEqual({ rows: "reuse", sized: "maybe", after: "maybe" })
  expect(moved.stages.find(({ stage }) => stage.id === "sized")?.changes).toEqual([])
  await b.run(definition, { download: (work) => work({ onEvent: () => undefined }) })
  expect(b.ran()).toEqual([])
  expect(readFileSync(join(b.root, "counter.txt"), "utf8")).toBe("rows\nsized\nafter\n")
})
