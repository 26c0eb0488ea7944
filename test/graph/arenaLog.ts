// Runs a training graph three times in a process of its own, with the runtime's log on, and prints how the forecast sees its arena.
import { env } from "onnxruntime-node"
import { parseConfig } from "#src/formats/hfConfig.ts"
import { encode } from "#src/graph/onnx/encode.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { typesOf } from "#src/graph/onnx/types.ts"
import { withUnderneath } from "#src/graph/onnx/underneath.ts"
import { runMemory } from "#src/graph/memory.ts"
import { sizeOf, arrayClass } from "#src/graph/Type.ts"
import { modelOf } from "#src/models/families.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import { Session } from "#src/runtime/Session.ts"
import { lossGraph } from "#src/runtime/TrainGraph.ts"
import { baseOf, tune, tuningOf } from "#src/runtime/Tuning.ts"
import { fullMethod, loraMethod, qloraMethod } from "../adapters/method.ts"

env.logLevel = "info"
const [methodName = "full", checkpointing = "off", vocabulary = "600"] = process.argv.slice(2)
const methods = { full: fullMethod(), lora: loraMethod({ r: 4, targetModules: "all-linear" }), qlora: qloraMethod({ r: 4 }) }
const config = {
  model_type: "llama",
  vocab_size: Number(vocabulary),
  hidden_size: 192,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 512,
  max_position_embeddings: 96,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true
}
const model = modelOf(parseConfig(JSON.stringify(config), "test"), "test")
const method = methods[methodName as keyof typeof methods]
const tuned = tune(tuningOf(model, method, 1e-3), baseOf(model, initialWeights(model, 1), method), { accumulates: false, seed: 1 })
const shape = { length: 96, targets: 8 * 96 }
const { graph } = lossGraph(model, tuned, 8, shape, { training: true, gradientCheckpointing: checkpointing === "on" })
const lowered = lower(graph)
const filled = withUnderneath(lowered)
const session = await Session.create(encode(lowered, { fills: true }), { threads: 1 })
const arrays = (values: typeof lowered.inputs) =>
  Object.fromEntries(values.map(({ name, dtype, shape }) => [name, new arrayClass[dtype](sizeOf(shape))]))
for (let run = 0; run < 3; run++) await session.run(arrays(lowered.inputs), arrays(lowered.outputs))
await session.release()
console.log(JSON.stringify(runMemory(filled, typesOf(filled)).regions))
