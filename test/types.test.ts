import { test, expect } from "vitest"
import { pipeline, ingest } from "anneal"
test("authoring works from source", () => {
  const p = pipeline("x", () => ingest({ from: "a.jsonl", as: "text" }))
  expect(p.stages.map((s) => s.id)).toEqual(["ingest"])
})
