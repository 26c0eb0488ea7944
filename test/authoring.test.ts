// The authoring API from a pipeline file's side: what the calls give back as data.
import { expect, test } from "vitest"
import { augment, baseModel, format, ingest, pipeline, split, train } from "anneal"

test("stages are called by their kind unless an id is given", () => {
  const p = pipeline("x", () => {
    ingest({ from: "a.jsonl", as: "text" })
    ingest({ id: "more", from: "b.jsonl", as: "text" })
  })
  expect(p.stages.map((stage) => stage.id)).toEqual(["ingest", "more"])
})

test("tokens of a training part alone can be trained on", () => {
  const p = pipeline("x", () => {
    const base = baseModel("base")
    const tokens = format({ train: ingest({ from: "a.jsonl", as: "text" }), base }, { maxLength: 8 })
    train({ tokens, base })
  })
  expect(p.stages.at(-1)?.inputs["train"]).toEqual({ _tag: "Ref", stage: "format", output: "train", kind: "tokens" })
  expect(p.stages.find((stage) => stage.id === "format")?.outputs).toEqual({ train: "tokens" })
})

test("only training rows are augmented, and only after the split", () => {
  const rows = () => ingest({ from: "a.jsonl", as: "text" })
  expect(() => pipeline("x", () => augment(split(rows()).test))).toThrow("augment is given the test part of split")
  expect(() => pipeline("x", () => split(augment(rows())))).toThrow("split is given augmented rows")
  expect(pipeline("x", () => augment(split(rows()).train)).stages).toHaveLength(3)
})
