// Four steps of every optimizer against PyTorch, transformers and lion-pytorch: the reference arithmetic exactly, what trains within float32.
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { adafactorFactors, adafactorMatrix, adafactorVector } from "#src/graph/optimizer/adafactor.ts"
import { adamw, adamwFactors } from "#src/graph/optimizer/adamw.ts"
import { lion, lionFactors } from "#src/graph/optimizer/lion.ts"
import { sgd } from "#src/graph/optimizer/sgd.ts"
import { type Optimizer, optimizerDefaults, type OptimizerKind, stateOf } from "#src/graph/optimizer.ts"
import { ParamStore } from "#src/runtime/ParamStore.ts"
import type { Rates } from "#src/runtime/updateTensor.ts"

type Tensors = Readonly<Record<"matrix" | "vector", readonly number[]>>

interface References {
  readonly shapes: Tensors
  readonly start: Tensors
  readonly gradients: readonly Tensors[]
  readonly cases: readonly {
    readonly name: string
    readonly optimizer: OptimizerKind
    readonly options: Readonly<Record<string, never>> & { readonly lr: number; readonly weight_decay?: number }
    readonly weights: readonly Tensors[]
  }[]
}
const references = JSON.parse(readFileSync(join(import.meta.dirname, "own/optimizers.json"), "utf8")) as References
const { shapes, start, gradients, cases } = references
const names = ["matrix", "vector"] as const

/** Their option names as ours. */
const optimizerFrom = (kind: OptimizerKind, o: References["cases"][number]["options"]): Optimizer => {
  const [beta1, beta2] = (o["betas"] ?? []) as readonly number[]
  const given = {
    beta1,
    beta2,
    epsilon: o["eps"],
    momentum: o["momentum"],
    decayRate: o["decay_rate"],
    clipThreshold: o["clip_threshold"],
    scaleParameter: o["scale_parameter"]
  }
  return {
    ...optimizerDefaults[kind],
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  } as Optimizer
}

type State = Readonly<Record<string, readonly number[]>>

/** The next weights and state of one tensor, without any rounding. */
const next = (optimizer: Optimizer, { p = [], m = [], v = [], row, col }: State, g: readonly number[], rates: Rates, t: number): State => {
  switch (optimizer.kind) {
    case "adamw": {
      const f = adamwFactors({ ...optimizer, ...rates }, t)
      const after = p.map((x, i) => adamw({ p: x, m: m[i] as number, v: v[i] as number }, g[i] as number, f, 1))
      return { p: after.map((s) => s.p), m: after.map((s) => s.m), v: after.map((s) => s.v) }
    }
    case "lion": {
      const after = p.map((x, i) => lion({ p: x, m: m[i] as number }, g[i] as number, lionFactors({ ...optimizer, ...rates })))
      return { p: after.map((s) => s.p), m: after.map((s) => s.m) }
    }
    case "sgd": {
      const after = p.map((x, i) => sgd({ p: x, m: m[i] ?? 0 }, g[i] as number, { ...rates, momentum: optimizer.momentum }))
      return { p: after.map((s) => s.p), m: after.map((s) => s.m) }
    }
    case "adafactor": {
      const f = adafactorFactors({ ...optimizer, ...rates }, t, Math.sqrt(p.reduce((sum, x) => sum + x * x, 0) / p.length))
      return row === undefined || col === undefined ? { ...adafactorVector({ p, v }, g, f) } : { ...adafactorMatrix({ p, row, col }, g, f) }
    }
  }
}

const expectNear = (found: ArrayLike<number>, expected: readonly number[], tolerance: number): void => {
  expect(found.length).toBe(expected.length)
  expected.forEach((x, i) =>
    expect(Math.abs((found[i] as number) - x), `value ${i}`).toBeLessThanOrEqual(tolerance * Math.max(Math.abs(x), 0.01))
  )
}

describe.each(cases)("$name", ({ optimizer: kind, options, weights }) => {
  const optimizer = optimizerFrom(kind, options)
  const rates = { learningRate: options.lr, weightDecay: options.weight_decay ?? 0 }

  test("the reference arithmetic", () => {
    for (const name of names) {
      const zeros = stateOf(optimizer, shapes[name]).map(({ key, shape }) => [
        key,
        new Array<number>(shape.reduce((a, b) => a * b, 1)).fill(0)
      ])
      let state: State = { ...Object.fromEntries(zeros), p: start[name] }
      gradients.forEach((step, t) => {
        state = next(optimizer, state, step[name], rates, t + 1)
        expectNear(state["p"] ?? [], (weights[t] as Tensors)[name], 1e-12)
      })
    }
  })

  test("the kernels in float32", () => {
    const store = new ParamStore(
      names.map((name) => ({ name, shape: shapes[name], decay: true })),
      false,
      false,
      optimizer
    )
    names.forEach((name, i) => store.trainables[i]?.p.set(start[name]))
    gradients.forEach((step, t) => {
      names.forEach((name, i) => store.trainables[i]?.g.set(step[name]))
      store.update(() => rates, t + 1, 1)
      names.forEach((name, i) => expectNear(store.trainables[i]?.p ?? [], (weights[t] as Tensors)[name], 2e-6))
    })
  })
})
