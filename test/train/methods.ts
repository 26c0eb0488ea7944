// Trainings whose resume is tested: every method, with all that draws random numbers, over shuffled rows.
import type { TrainConfig } from "#stages/train/stage.ts"

type Options = typeof TrainConfig.Encoded

/** Everything that draws random numbers or needs the weights of the start. */
const random = {
  ...{ attentionDropout: 0.1, residualDropout: 0.1, embeddingDropout: 0.1, neftuneNoiseAlpha: 5 },
  ...{ labelSmoothingFactor: 0.1, l2ToBase: 0.1 }
} as const
/** Rows of one or two documents. */
const packed = { batchSize: 2, packing: true, packLength: 40 } as const
const adapter = { r: 4, loraAlpha: 8, loraDropout: 0.1, targetModules: "all-linear" } as const
const lora = { type: "lora", ...adapter } as const

export const methods = {
  full: { method: { type: "full" }, ...random },
  lora: { method: lora, ...random },
  dora: { method: { ...lora, useDora: true }, ...random },
  qlora: { method: { type: "qlora", ...adapter }, ...random },
  prefix: { method: { type: "prefix", numVirtualTokens: 4, projection: true, encoderHiddenSize: 8 }, ...random },
  "virtual tokens": { method: { type: "promptTuning", numVirtualTokens: 4 }, ...random },
  "full, packed, adafactor": { method: { type: "full" }, optimizer: "adafactor", ...random, ...packed },
  "lora, packed, lion": { method: lora, optimizer: "lion", ...random, ...packed }
} as const satisfies Readonly<Record<string, Options>>

export type MethodName = keyof typeof methods
