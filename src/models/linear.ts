// Linear layers as they are without an adapter, for PyTorch's layout of the weight and for GPT-2's.
import { add } from "#src/graph/ops/elementwise.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import type { Value } from "#src/graph/Value.ts"
import type { Hooks, Linear, LinearCall } from "./Model.ts"

/** x W^T [M, out] of x [M, in] and a weight in the layer's layout. */
export const project = (layer: Linear, x: Value, weight: Value): Value => matMul(x, weight, { transB: layer.transposed !== true })

/** x W^T + b. */
export const plainLinear = ({ layer, x, weight, bias }: LinearCall): Value => {
  const y = project(layer, x, weight)
  return bias === undefined ? y : add(y, bias)
}

/** A layer by its path, as the hooks have it. */
export const linearOf = (
  linears: readonly Linear[],
  param: (name: string) => Value,
  hooks: Hooks = {}
): ((path: string, x: Value) => Value) => {
  const byPath = new Map(linears.map((layer) => [layer.path, layer]))
  const compute = hooks.linear ?? plainLinear
  return (path, x) => {
    const layer = byPath.get(path)!
    return compute({ layer, x, weight: param(`${path}.weight`), bias: layer.bias ? param(`${path}.bias`) : undefined })
  }
}
