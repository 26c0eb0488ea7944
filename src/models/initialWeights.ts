// Weights to begin training with where there are none: each value depends only on the seed, the tensor's name and its place.
import { hash32, normal, uniform } from "#src/domain/random.ts"
import type { Model, Parameter, Weights } from "./Model.ts"

/** A fresh tensor, filled as its `init` says. */
export const initialTensor = ({ name, shape, init }: Parameter, seed: number, into?: Float32Array): Float32Array => {
  const values = into ?? new Float32Array(shape.reduce((product, dim) => product * dim, 1))
  const stream = hash32(0, name)
  switch (init.kind) {
    case "constant":
      return values.fill(init.value)
    case "uniform":
      return fill(values, (i) => init.bound * (2 * uniform(seed, stream, i) - 1))
    case "normal": {
      fill(values, (i) => init.std * normal(seed, stream, i))
      if (init.zeroRow === undefined) return values
      const width = shape[1] as number
      return values.fill(0, init.zeroRow * width, (init.zeroRow + 1) * width)
    }
  }
}

const fill = (values: Float32Array, value: (i: number) => number): Float32Array => {
  for (let i = 0; i < values.length; i++) values[i] = value(i)
  return values
}

/** Fresh tensors for a list of parameters (a model's, or an adapter's); made anew at each read. */
export const initialTensors = (parameters: readonly Parameter[], seed: number): Weights => {
  const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]))
  return {
    has: (name) => byName.has(name),
    read: (name, into) => {
      const parameter = byName.get(name)
      if (parameter === undefined) throw new RangeError(`no parameter is named ${name}`)
      return initialTensor(parameter, seed, into)
    }
  }
}

/** Random weights of a whole model: normal(0, initializer_range), norms 1, biases 0, the padding row of the embedding 0. */
export const initialWeights = (model: Model, seed: number): Weights => initialTensors(model.parameters, seed)
