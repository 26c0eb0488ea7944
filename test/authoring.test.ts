// The authoring API from a pipeline file's side: what the calls give back as data.
import { expect, test } from "vitest"
import { baseModel, format, ingest, pipeline, train } from "anneal"

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
