// A training of three weights whose gradients are plain arithmetic, in a folder of its own for each test.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach } from "vitest"
import { trainingOrder } from "#src/batching/order.ts"
import type { StageEvent } from "#src/domain/RunEvent.ts"
import { Checkpoints } from "#src/runtime/Checkpoint.ts"
import { type Optimizer, optimizerDefaults } from "#src/graph/optimizer.ts"
import { ParamStore } from "#src/runtime/ParamStore.ts"
import type { Learner } from "#src/runtime/Learner.ts"
import { runTraining, type Trained, type TrainerOptions } from "#src/runtime/Trainer.ts"

let current = ""
/** Of the running test's checkpoints. */
export const folder = (): string => current
beforeEach(() => {
  current = mkdtempSync(join(tmpdir(), "anneal-trainer-"))
})
afterEach(() => rmSync(current, { recursive: true, force: true }))

export const rows = 10
export const options: TrainerOptions = {
  learningRate: 0.05,
  weightDecay: 0.1,
  maxGradNorm: 1,
  schedule: "cosine",
  warmupRatio: 0.1,
  saveTotalLimit: 2,
  loadBestModelAtEnd: true,
  earlyStoppingThreshold: 0,
  loggingSteps: 2
}
export const order = trainingOrder({ rows, batchSize: 2, gradientAccumulationSteps: 2, epochs: 3, seed: 1 })

/** Row r pulls the weights towards (sin r, cos r, r / 10); it has r % 3 + 1 trained tokens. `losses` are the validations' results. */
export const learner = (
  losses?: readonly number[],
  breaks: (step: number) => boolean = () => false,
  optimizer: Optimizer = optimizerDefaults.adamw
): Learner => {
  const store = new ParamStore([{ name: "w", shape: [3], decay: true }], true, false, optimizer)
  const { p, g } = store.trainables[0] as (typeof store.trainables)[number]
  const targets = Int32Array.from({ length: rows }, (_, r) => (r % 3) + 1)
  const sizes = { lengths: new Int32Array(rows).fill(4), targets, commonPrefix: 0 }
  let validations = 0
  return {
    store,
    sizes,
    gradients: (members, scale, step) => {
      if (breaks(step)) return Promise.resolve(Number.NaN)
      g.fill(0)
      let loss = 0
      for (const r of members) {
        for (const [i, target] of [Math.sin(r), Math.cos(r), r / 10].entries()) {
          const off = (p[i] as number) - target
          loss += off * off * (sizes.targets[r] as number)
          g[i] = (g[i] as number) + 2 * off * (sizes.targets[r] as number) * scale
        }
      }
      return Promise.resolve(loss)
    },
    ...(losses === undefined
      ? {}
      : {
          validation: {
            sizes: { lengths: Int32Array.of(3), targets: Int32Array.of(2), commonPrefix: 0 },
            batches: [[0]],
            // A function of the weights, unless the test dictates it.
            loss: () => Promise.resolve(2 * (losses[validations++] ?? Math.abs((p[0] as number) - 0.2)))
          }
        })
  }
}

export interface Outcome {
  readonly trained?: Trained
  readonly error?: unknown
  readonly weights: Float32Array
  readonly events: readonly StageEvent[]
  readonly kept: readonly (readonly number[])[]
}

/** Runs until the end, or until a stop is requested at the `stopAt`-th question. */
export const run = async (
  who: Learner,
  more: Partial<TrainerOptions> = {},
  stopAt = Infinity,
  checkpoints = new Checkpoints(folder(), () => undefined)
): Promise<Outcome> => {
  const events: StageEvent[] = []
  const kept: (readonly number[])[] = []
  let questions = 0
  const result = await runTraining({ ...options, ...more }, order, who, {
    checkpoints,
    emit: (event) => events.push(event),
    stopRequested: () => ++questions === stopAt,
    keepBatch: (step, members) => `${kept.push(members)}-${step}`
  }).then(
    (trained) => ({ trained }),
    (error: unknown) => ({ error })
  )
  return { ...result, weights: who.store.trainables[0]?.p as Float32Array, events, kept }
}
export const count = (events: readonly StageEvent[], tag: StageEvent["_tag"]): number => events.filter((event) => event._tag === tag).length
export const metric = (events: readonly StageEvent[], name: string): readonly (number | null)[] =>
  events.flatMap((event) => (event._tag === "Metrics" && name in event.values ? [event.values[name] as number] : []))
