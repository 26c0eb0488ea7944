// Reasons: the field that differs with its old and new value; decisions that follow from what is known.
import { describe, expect, test } from "vitest"
import type { ManifestField } from "#src/domain/RunEvent.ts"
import { diffManifests, reasonOf } from "#src/engine/explain.ts"
import { decide, type Known } from "#src/engine/Planner.ts"
import type { Entry } from "#src/store/records.ts"

const digest = (c: string): string => `sha256:${c.repeat(64)}`
const manifest = (values: Readonly<Record<string, string | number>>): readonly ManifestField[] =>
  Object.entries(values).map(([path, value]) => ({
    path,
    type: typeof value === "number" ? "float" : value.startsWith("sha256:") ? "digest" : "string",
    value
  }))
const before = manifest({ "config.learningRate": 2e-4, "config.schedule": "linear", "input.tokens": digest("a"), version: 1 })
const after = (change: Readonly<Record<string, string | number>>) =>
  manifest({ "config.learningRate": 2e-4, "config.schedule": "linear", "input.tokens": digest("a"), version: 1, ...change })
const reason = (change: Readonly<Record<string, string | number>>) => reasonOf("train", diffManifests(before, after(change)), "calm-ibis")

describe("reasons", () => {
  test("an option", () => {
    expect(reason({ "config.learningRate": 1e-4 })).toEqual({
      code: "config",
      field: "config.learningRate",
      from: 2e-4,
      to: 1e-4,
      run: "calm-ibis",
      text: "train.learningRate 0.0002 -> 0.0001"
    })
  })
  test("an input", () => {
    expect(reason({ "input.tokens": digest("b") })).toMatchObject({
      code: "input",
      field: "input.tokens",
      text: "input tokens changed: aaaaaaaa -> bbbbbbbb"
    })
  })
  test("code, a package, a fact of the runtime", () => {
    expect(reason({ version: 2 })).toMatchObject({ code: "code", from: 1, to: 2 })
    expect(reason({ "package.zod": "4.1.0" })).toMatchObject({ code: "code", text: "zod not set -> 4.1.0" })
    expect(reason({ "fact.onnxruntime": "1.31.0" }).code).toBe("code")
    expect(reason({ 'code["stages/mine.ts"]': digest("c") }).text).toBe("code changed: stages/mine.ts")
  })
  test("several changes: what the user typed comes first, the rest is counted", () => {
    expect(reason({ "input.tokens": digest("b"), version: 2, "config.schedule": "cosine" }).text).toBe(
      "train.schedule linear -> cosine, and 2 more"
    )
  })
  test("what decides which other options there are comes before them", () => {
    expect(reason({ "config.method.alpha": 16, "config.method.type": "lora" }).text).toBe("train.method.type not set -> lora, and 1 more")
  })
  test("a type that changes is a change", () => {
    expect(diffManifests(manifest({ a: 1 }), [{ path: "a", type: "string", value: "1" }])).toHaveLength(1)
  })
})

describe("decisions", () => {
  const entry: Entry = {
    key: digest("k"),
    kind: "train",
    pipeline: "p",
    stage: "train",
    run: "calm-ibis",
    time: "2026-01-01T00:00:00.000Z",
    manifest: before,
    outputs: [],
    metrics: {},
    computeMs: 1,
    writeMs: 1
  }
  const known: Known = { stage: "train", forced: false, pending: [], manifest: before, found: undefined, knowsOwn: false, last: undefined }
  test.each<readonly [string, Partial<Known>, string, string | undefined]>([
    ["never ran", {}, "run", "never-ran"],
    ["there and intact", { found: { entry } }, "reuse", undefined],
    ["there but gone", { found: { entry, lost: { output: "model", state: "missing" } } }, "run", "missing"],
    ["there but changed", { found: { entry, lost: { output: "model", state: "corrupt" } } }, "run", "corrupt"],
    ["forced", { found: { entry }, forced: true }, "run", "forced"],
    ["an option changed", { last: entry, manifest: after({ "config.schedule": "cosine" }) }, "run", "config"],
    ["upstream pending, own part known", { pending: ["format"], knowsOwn: true, last: entry }, "maybe", "upstream"],
    [
      "upstream pending, nothing stored of this config",
      { pending: ["format"], last: entry, manifest: after({ "config.schedule": "cosine" }) },
      "run",
      "config"
    ],
    ["upstream pending, never ran", { pending: ["format"] }, "run", "never-ran"]
  ])("%s", (_, change, decision, code) => {
    const decided = decide({ ...known, ...change })
    expect([decided.decision, decided.reason?.code]).toEqual([decision, code])
  })
  test("an input that is still to come is no difference", () => {
    const own = after({ "config.schedule": "cosine" }).filter((field) => field.path !== "input.tokens")
    const { reason: why } = decide({ ...known, pending: ["format"], last: entry, manifest: own })
    expect(why?.text).toBe("train.schedule linear -> cosine")
  })
})
