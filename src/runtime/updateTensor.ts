// One optimizer step of one tensor, in place: chooses the kernels and computes the numbers that they multiply with.
import { adafactorFactors, adafactorRate } from "#src/graph/optimizer/adafactor.ts"
import { adamwFactors } from "#src/graph/optimizer/adamw.ts"
import { lionFactors } from "#src/graph/optimizer/lion.ts"
import type { Optimizer } from "#src/graph/optimizer.ts"
import type { Kernels } from "./kernels/load.ts"

/** Where a tensor and its optimizer state lie: byte addresses in the kernels' memory. */
export interface Place {
  readonly kernels: Kernels
  readonly p: number
  /** The step's gradient. */
  readonly g: number
  /** As `stateOf` lists it. */
  readonly state: readonly number[]
  /** Room for 8 bytes a column, where the optimizer needs it (`scratchOf`). */
  readonly scratch: number
  /** Of p, with its padding. */
  readonly bytes: number
  readonly shape: readonly number[]
}

export interface Rates {
  readonly learningRate: number
  readonly weightDecay: number
}

/** Float32 elements of scratch memory that a tensor needs besides its state. */
export const scratchOf = (optimizer: Optimizer, shape: readonly number[]): number =>
  optimizer.kind === "adafactor" && shape.length === 2 ? 2 * (shape[1] as number) : 0

/** Whether a tensor may be updated a piece at a time. */
export const elementwise = ({ kind }: Optimizer): boolean => kind !== "adafactor"

/** Step `t` (from 1) with the gradient scaled by `clip`. */
export const updateTensor = (optimizer: Optimizer, at: Place, rates: Rates, t: number, clip: number): void => {
  const { kernels, p, g, bytes } = at
  const [first = 0, second = 0] = at.state
  switch (optimizer.kind) {
    case "adamw": {
      const f = adamwFactors({ ...optimizer, ...rates }, t)
      kernels.adamw(p, g, first, second, bytes, clip, f.decay, f.beta1, f.rest1, f.beta2, f.rest2, f.stepSize, f.rootBias, f.epsilon)
      return
    }
    case "lion": {
      const f = lionFactors({ ...optimizer, ...rates })
      kernels.lion(p, g, first, bytes, clip, f.decay, f.beta1, f.rest1, f.beta2, f.rest2, f.learningRate)
      return
    }
    case "sgd": {
      const { momentum } = optimizer
      if (momentum === 0) kernels.sgd(p, g, bytes, clip, rates.weightDecay, rates.learningRate)
      else kernels.sgdMomentum(p, g, first, bytes, clip, rates.weightDecay, momentum, rates.learningRate)
      return
    }
    case "adafactor": {
      const size = at.shape.reduce((product, n) => product * n, 1)
      const rootMean = optimizer.scaleParameter ? Math.sqrt(kernels.sumSquares(p, bytes) / size) : 0
      const f = adafactorFactors({ ...optimizer, ...rates }, t, rootMean)
      const [rows, columns] = at.shape
      if (rows === undefined || columns === undefined) {
        const squares = kernels.adafactorVectorSquares(g, first, bytes, clip, f.epsilon, f.beta2, f.rest2)
        kernels.adafactorVectorMove(p, g, first, bytes, clip, f.decay, adafactorRate(f, squares, size))
        return
      }
      const squares = kernels.adafactorMatrixSquares(g, first, second, at.scratch, rows, columns, clip, f.epsilon, f.beta2, f.rest2)
      kernels.adafactorMatrixMove(p, g, first, at.scratch, rows, columns, clip, f.decay, adafactorRate(f, squares, size))
    }
  }
}

/** Tensors with the same rates are of one group. */
export const groupsOf = (rates: readonly Rates[]): { readonly groups: readonly Rates[]; readonly groupOf: readonly number[] } => {
  const keyOf = ({ learningRate, weightDecay }: Rates): string => `${learningRate} ${weightDecay}`
  const groups = [...new Map(rates.map((each) => [keyOf(each), each])).values()]
  const keys = groups.map(keyOf)
  return { groups, groupOf: rates.map((each) => keys.indexOf(keyOf(each))) }
}
