// The train graphs of every family and method as they are lowered for each device: every node has a kernel there, and the numbers are
// those of the CPU's form (all forms run here on the CPU).
import { describe, expect, test } from "vitest"
import { encode } from "#src/graph/onnx/encode.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import type { Target } from "#src/graph/onnx/Lowering.ts"
import { placement } from "#src/graph/onnx/placement.ts"
import { validateModel } from "#src/graph/validate.ts"
import { Session } from "#src/runtime/Session.ts"
import { type CaseOptions, difference, families, type GraphCase, graphCase, methods } from "./cases.ts"

const run = async ({ graph, feeds, outputs }: GraphCase, target: Target) => {
  const session = await Session.create(encode(lower(graph, target)), { threads: 1 })
  const results = await session.run(feeds, outputs)
  await session.release()
  return results
}

const check = async (family: string, method: string, options: CaseOptions = {}): Promise<void> => {
  const made = await graphCase(family, methods[method]!, options)
  const expected = await run(made, "cpu")
  for (const target of ["cuda", "webgpu"] as const) {
    const model = lower(made.graph, target)
    expect(validateModel(model)).toEqual([])
    const missing = placement(model, target).filter(({ place }) => place === "missing")
    expect(missing.map(({ node, type }) => `${target} ${node.opType} ${type}`)).toEqual([])
    expect(difference(expected, await run(made, target)), target).toBeLessThan(1e-5)
  }
}

describe.each(families)("%s", (family) => {
  test.each(Object.keys(methods))("%s", (method) => check(family, method))
})

test("packed rows", () => check("untied", "lora", { packed: true }))
test("packed rows with windows", () => check("mistral", "full", { packed: true }))
test("dropout", () => check("untied", "full", { dropout: true }))
test("checkpointed", () => check("untied", "qlora", { gradientCheckpointing: true }))

test("what is left to the CPU is arithmetic of indices", async () => {
  const { graph } = await graphCase("mistral", methods["lora"]!, { packed: true })
  const placed = placement(lower(graph, "webgpu"), "webgpu")
  const left = placed.filter(({ place }) => place === "index")
  expect(new Set(left.map(({ type }) => type))).toEqual(new Set(["int64"]))
  expect(left.length).toBeLessThan(placed.length / 10)
  expect(placement(lower(graph, "cuda"), "cuda").every(({ place }) => place === "device")).toBe(true)
})
