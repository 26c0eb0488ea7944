// The optimizers by name, and what each keeps of a tensor between steps. Their formulas: optimizer/*.ts.
import { GraphError } from "./GraphError.ts"
import type { AdafactorOptions } from "./optimizer/adafactor.ts"
import type { Shape } from "./Type.ts"

export const optimizerKinds = ["adamw", "adafactor", "lion", "sgd"] as const
export type OptimizerKind = (typeof optimizerKinds)[number]

/** An optimizer without what differs from tensor to tensor: learning rate and weight decay. */
export type Optimizer =
  | { readonly kind: "adamw"; readonly beta1: number; readonly beta2: number; readonly epsilon: number }
  | { readonly kind: "lion"; readonly beta1: number; readonly beta2: number }
  | { readonly kind: "sgd"; readonly momentum: number }
  | ({ readonly kind: "adafactor" } & Omit<AdafactorOptions, "learningRate" | "weightDecay">)

/** Those of torch and transformers; Lion's are its paper's. */
export const optimizerDefaults = {
  adamw: { kind: "adamw", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  lion: { kind: "lion", beta1: 0.9, beta2: 0.99 },
  sgd: { kind: "sgd", momentum: 0 },
  adafactor: { kind: "adafactor", decayRate: -0.8, clipThreshold: 1, epsilon: [1e-30, 1e-3], scaleParameter: false }
} as const satisfies { readonly [K in OptimizerKind]: Optimizer & { readonly kind: K } }

export interface StateTensor {
  /** m: mean of gradients; v: mean of their squares; row, col: means of these over the rows and columns of a matrix. */
  readonly key: "m" | "v" | "row" | "col"
  readonly shape: Shape
}

/** The tensors that the optimizer keeps for one trainable of a shape, all 0 at first. @throws GraphError where it takes no such shape */
export const stateOf = (optimizer: Optimizer, shape: Shape): readonly StateTensor[] => {
  switch (optimizer.kind) {
    case "adamw":
      return [
        { key: "m", shape },
        { key: "v", shape }
      ]
    case "lion":
      return [{ key: "m", shape }]
    case "sgd":
      return optimizer.momentum === 0 ? [] : [{ key: "m", shape }]
    case "adafactor": {
      if (shape.length > 2) throw new GraphError("adafactor", [shape], "it takes vectors and matrices only; use adamw, lion or sgd")
      const [rows, columns] = shape
      if (rows === undefined || columns === undefined) return [{ key: "v", shape }]
      return [
        { key: "row", shape: [rows] },
        { key: "col", shape: [columns] }
      ]
    }
  }
}
