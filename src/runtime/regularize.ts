// Dropout and embedding noise as inputs of a training graph: what a graph asks for here, RandomArrays.ts fills before each run.
import type { Adapter } from "#src/adapters/Adapter.ts"
import type { Graph } from "#src/graph/Graph.ts"
import { GraphError } from "#src/graph/GraphError.ts"
import { add, mul } from "#src/graph/ops/elementwise.ts"
import { slice } from "#src/graph/ops/shape.ts"
import type { Value } from "#src/graph/Value.ts"
import type { DropoutSite, Hooks, Linear, Model } from "#src/models/Model.ts"

/** Options of the train stage; 0 = off. */
export interface Regularization {
  readonly attentionDropout: number
  readonly residualDropout: number
  readonly embeddingDropout: number
  readonly neftuneNoiseAlpha: number
  readonly labelSmoothingFactor: number
}

export const noRegularization: Regularization = {
  attentionDropout: 0,
  residualDropout: 0,
  embeddingDropout: 0,
  neftuneNoiseAlpha: 0,
  labelSmoothingFactor: 0
}

/** Whether training graphs read random numbers, the adapter's own dropout counted. */
export const isRandom = (r: Regularization, adapter: Adapter | undefined): boolean =>
  [r.attentionDropout, r.residualDropout, r.embeddingDropout, r.neftuneNoiseAlpha, adapter?.dropout.share ?? 0].some((amount) => amount > 0)

/** An array of random numbers that a graph reads. */
export interface RandomInput {
  /** Of the graph input; also the name of its stream of random numbers. */
  readonly name: string
  readonly shape: readonly number[]
  /**
   * What its entries belong to. place: [B * T, width]. target: [S, width], the places whose loss counts. attention: [B, H, T, places].
   * noise: as place, but drawn from (-1, 1) x alpha / sqrt(tokens x width) instead of being 0 or 1 / (1 - share).
   */
  readonly kind: "place" | "target" | "attention" | "noise"
  /** The dropped share, or alpha. */
  readonly amount: number
}

export interface Randomized {
  /** Drops the adapter's own share of the input [M, in] of one of its layers. */
  readonly adapterDropout: (linear: Linear, x: Value) => Value
  /** An adapter's hooks with the training's own around them. */
  readonly around: (hooks: Hooks) => Hooks
  /** What the graph has asked for so far. */
  readonly inputs: () => readonly RandomInput[]
}

/** `adapterShare`: the adapter's dropout; `targets`: places whose loss counts, on which alone the head runs. */
export const randomized = (graph: Graph, model: Model, targets: number, r: Regularization, adapterShare: number): Randomized => {
  const known = new Map<string, { readonly input: RandomInput; readonly value: Value }>()
  const input = (name: string, shape: readonly number[], kind: RandomInput["kind"], amount: number): Value => {
    const found = known.get(name) ?? { input: { name, shape, kind, amount }, value: graph.input(name, "float32", shape) }
    known.set(name, found)
    return found.value
  }
  // The head may be computed a few rows at a time, each with the next rows of its mask.
  let rows = 0
  const headMask = (path: string, { shape: [count = 0, width = 0] }: Value): Value => {
    const mask = input(`dropout.adapter.${path}`, [targets, width], "target", adapterShare)
    if (count === targets) return mask
    const start = rows % targets
    rows += count
    if (start + count > targets) throw new GraphError("dropout", [[count, width]], `the head runs on more than ${targets} rows`)
    return slice(mask, 0, start, start + count)
  }
  const shares = { attention: r.attentionDropout, residual: r.residualDropout, embedding: r.embeddingDropout }
  const dropout = (site: DropoutSite, x: Value): Value => {
    const share = shares[site.kind]
    if (share === 0) return x
    const name = site.kind === "embedding" ? "dropout.embedding" : `dropout.${site.kind}.${site.path}`
    return mul(x, site.kind === "attention" ? site.part(input(name, site.shape, "attention", share)) : input(name, x.shape, "place", share))
  }
  return {
    adapterDropout: ({ path }, x) => {
      if (adapterShare === 0) return x
      return mul(x, path === model.head.path ? headMask(path, x) : input(`dropout.adapter.${path}`, x.shape, "place", adapterShare))
    },
    around: (hooks) => ({
      ...hooks,
      dropout,
      everyPlace: r.residualDropout > 0 || adapterShare > 0,
      ...(r.neftuneNoiseAlpha === 0
        ? {}
        : {
            embedding: (ids, plain, scaled) =>
              add(hooks.embedding?.(ids, plain, scaled) ?? plain, input("neftune", plain.shape, "noise", r.neftuneNoiseAlpha))
          })
    }),
    inputs: () => [...known.values()].map((found) => found.input)
  }
}
