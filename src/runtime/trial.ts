// Two training steps of a tiny model: shows that a device computes what the CPU computes.
import { trainingOrder } from "#src/batching/order.ts"
import { parseConfig } from "#src/formats/hfConfig.ts"
import type { Target } from "#src/graph/onnx/Lowering.ts"
import { optimizerDefaults } from "#src/graph/optimizer.ts"
import { modelOf } from "#src/models/families.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import { deviceLearner } from "./deviceLearner.ts"
import { stepRuns } from "./stepRuns.ts"
import { tune, tuningOf } from "./Tuning.ts"

const config = {
  model_type: "llama",
  vocab_size: 11,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  max_position_embeddings: 16,
  tie_word_embeddings: true
}

const rows = {
  offsets: Int32Array.of(0, 8, 16),
  tokens: Int32Array.from({ length: 16 }, (_, i) => (i * 7) % 11),
  mask: new Uint8Array(16).fill(1)
}

/** The losses of the two steps. */
const losses = async (device: Target): Promise<readonly number[]> => {
  const model = modelOf(parseConfig(JSON.stringify(config), "trial"), "trial")
  const optimizer = optimizerDefaults.adamw
  const tuned = tune(tuningOf(model, { type: "full" }, 1e-2), initialWeights(model, 1), { accumulates: false, seed: 1, optimizer })
  const order = trainingOrder({ rows: 2, batchSize: 2, gradientAccumulationSteps: 1, epochs: 2, seed: 1 })
  const rates = () => () => ({ learningRate: 1e-2, weightDecay: 0 })
  const common = { ...tuned, device, model, batchSize: 2, threads: 1, rows, order, seed: 1 }
  const looped = { maxGradNorm: 1, l2ToBase: 0, scalesLoss: false, rates, stepsPerRun: 2 }
  const learner = deviceLearner({ ...common, ...looped, optimizer, accumulates: false })
  try {
    await learner.store.toDevice()
    const planOf = (step: number) => ({
      step,
      made: step,
      group: order.group(step),
      learningRate: 1e-2,
      rates,
      maxGradNorm: 1,
      lossScale: 1
    })
    const runs = stepRuns(learner, planOf, (step) => step === 2)
    const found: number[] = []
    for (const step of [0, 1]) found.push((await runs.next(step, step)).record.loss)
    return found
  } finally {
    await learner.release()
  }
}

/** Largest distance of a step's loss from the CPU's. */
export const trial = async (device: Target): Promise<number> => {
  const [expected, found] = [await losses("cpu"), await losses(device)]
  return Math.max(...expected.map((loss, i) => Math.abs(loss - (found[i] as number))))
}
