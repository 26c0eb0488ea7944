// Types of a lowered model's values, told from the model alone: those that the graph itself has, for every family, method and device.
import { describe, expect, test } from "vitest"
import { lower } from "#src/graph/onnx/lower.ts"
import type { OnnxModel } from "#src/graph/onnx/Model.ts"
import { opsets } from "#src/graph/onnx/Model.ts"
import { typesOf } from "#src/graph/onnx/types.ts"
import type { Graph } from "#src/graph/Graph.ts"
import { families, graphCase, methods } from "../devices/cases.ts"

const check = (graph: Graph): void => {
  for (const target of ["cpu", "cuda", "webgpu"] as const) {
    const model = lower(graph, target)
    const types = typesOf(model)
    const known = graph.nodes.flatMap((node) => node.outputs).filter(({ name }) => types.has(name))
    expect(known.length).toBeGreaterThan(100)
    for (const { name, dtype, shape } of known) expect({ name, ...types.get(name) }).toEqual({ name, dtype, shape })
    for (const { name, dtype, shape } of model.outputs) expect({ name, ...types.get(name) }).toEqual({ name, dtype, shape })
    // What a lowering adds of its own has a type too.
    for (const name of model.nodes.flatMap((node) => node.outputs)) expect(name === "" || types.has(name)).toBe(true)
  }
}

describe("typesOf", () => {
  test.each(families)("%s", async (family) => {
    for (const method of Object.values(methods)) check((await graphCase(family, method)).graph)
  })

  test("packed rows, dropout and checkpointing", async () => {
    for (const options of [{ packed: true }, { dropout: true }, { gradientCheckpointing: true }]) {
      check((await graphCase("mistral", methods["lora"]!, options)).graph)
    }
  })

  const broken = (opType: string, inputs: readonly string[]): OnnxModel => ({
    irVersion: 8,
    opsets,
    nodes: [{ name: "n", opType, domain: "", inputs, outputs: ["y"], attributes: {} }],
    initializers: [],
    inputs: [
      { name: "a", dtype: "float32", shape: [2, 3] },
      { name: "b", dtype: "float32", shape: [2, 4] }
    ],
    outputs: []
  })

  test("an op that it does not know, and operands that do not fit, are errors", () => {
    expect(() => typesOf(broken("Einsum", ["a"]))).toThrow(/not known.*Einsum/)
    expect(() => typesOf(broken("MatMul", ["a", "b"]))).toThrow(/3 columns times 2 rows/)
    expect(() => typesOf(broken("Neg", ["c"]))).toThrow(/reads c before/)
    expect(() => typesOf(broken("Reshape", ["a", "b"]))).toThrow(/input 1 is no constant/)
  })
})
