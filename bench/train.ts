// Speed and memory of the training step beside the bare time of its own matrix products:
//   node --conditions=source bench/train.ts [tiny|small] [full|lora|qlora] [threads]
// Each case runs in a process of its own, so that its peak memory is its own; step and bare list take turns in it.
import { spawnSync } from "node:child_process"
import * as Schema from "effect/Schema"
import { lora, LoraMethod, type Method, qlora, QloraMethod } from "#src/adapters/options.ts"
import type { Order } from "#src/batching/order.ts"
import { parseConfig } from "#src/formats/hfConfig.ts"
import { Graph } from "#src/graph/Graph.ts"
import { encodeModel } from "#src/graph/onnx/encode.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import { concat, reshape, slice } from "#src/graph/ops/shape.ts"
import { sizeOf } from "#src/graph/Type.ts"
import type { Node } from "#src/graph/Value.ts"
import { modelOf } from "#src/models/families.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import { graphLearner } from "#src/runtime/GraphLearner.ts"
import { Session } from "#src/runtime/Session.ts"
import { lossGraph } from "#src/runtime/TrainGraph.ts"
import { baseOf, tune, tuningOf } from "#src/runtime/Tuning.ts"

const shapes = {
  tiny: { vocab: 512, hidden: 256, layers: 4, heads: 4, inner: 688, rows: 8, length: 128, rounds: 15 },
  small: { vocab: 8192, hidden: 512, layers: 8, heads: 8, inner: 1376, rows: 4, length: 256, rounds: 7 }
}
const methods: Record<string, Method> = {
  full: { type: "full" },
  lora: Schema.decodeSync(LoraMethod)(lora({ loraAlpha: 16, targetModules: "all-linear" })),
  qlora: Schema.decodeSync(QloraMethod)(qlora({ loraAlpha: 16, targetModules: "all-linear" }))
}
const rates = { learningRate: 1e-4, weightDecay: 0.01 }

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number
const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now()
  await work()
  return performance.now() - start
}

/** All matrix products of a graph, each over inputs of its own shape, and nothing else. */
const bareProducts = async (graph: Graph, threads: number): Promise<{ readonly run: () => Promise<unknown>; readonly flops: number }> => {
  const products = graph.nodes.filter((node): node is Node<"MatMul"> => node.op === "MatMul")
  const bare = new Graph()
  const bySize = new Map<number, Float32Array>()
  const feeds: Record<string, Float32Array> = {}
  let flops = 0
  const corners = products.map(({ inputs, attributes }, i) => {
    const [a, b] = inputs.map(({ shape }, side) => {
      const size = sizeOf(shape)
      const data = bySize.get(size) ?? new Float32Array(size).fill(0.01)
      bySize.set(size, data)
      feeds[`${i}.${side}`] = data
      return bare.input(`${i}.${side}`, "float32", shape)
    })
    if (a === undefined || b === undefined) throw new Error("a product has two inputs")
    const product = matMul(a, b, attributes)
    flops += 2 * sizeOf(product.shape) * (a.shape.at(attributes.transA ? -2 : -1) as number)
    // One element of each result keeps it alive without copying it out.
    return reshape(
      product.shape.reduce((corner, _, axis) => slice(corner, axis, 0, 1), product),
      [1]
    )
  })
  bare.output("corners", concat(corners, 0))
  const session = await Session.create(encodeModel(bare), { threads })
  return { run: () => session.run(feeds, ["corners"]), flops }
}

const measure = async (shapeName: keyof typeof shapes, methodName: string, threads: number): Promise<void> => {
  const { vocab, hidden, layers, heads, inner, rows, length, rounds } = shapes[shapeName]
  const config = {
    model_type: "llama",
    vocab_size: vocab,
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    intermediate_size: inner,
    max_position_embeddings: length,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false
  }
  const model = modelOf(parseConfig(JSON.stringify(config), "bench"), "bench")
  const method = methods[methodName] as Method
  const tuned = tune(tuningOf(model, method, 1e-3), baseOf(model, initialWeights(model, 1), method), { accumulates: false, seed: 1 })
  const members = Array.from({ length: rows }, (_, row) => row)
  const tokens = Int32Array.from({ length: rows * (length + 1) }, (_, i) => (i * 7919 + ((i * i) % 131)) % vocab)
  const table = {
    offsets: Int32Array.from({ length: rows + 1 }, (_, row) => row * (length + 1)),
    tokens,
    mask: new Uint8Array(tokens.length).fill(1)
  }
  const order: Order = { stepsPerEpoch: 1, totalSteps: 1, group: () => [members] }
  const learner = graphLearner({ ...tuned, model, batchSize: rows, threads, rows: table, order, seed: 1 })
  let t = 0
  const step = async (): Promise<void> => {
    await learner.gradients(members, 1 / (rows * length), t)
    tuned.store.update(() => rates, ++t, 1 / Math.max(1, tuned.store.gradNorm()))
  }
  for (let i = 0; i < 3; i++) await step()
  const peak = process.resourceUsage().maxRSS / 2 ** 20
  const bare = await bareProducts(lossGraph(model, tuned, rows, { length, targets: rows * length }, { training: true }).graph, threads)
  await bare.run()
  const times: { readonly step: number; readonly bare: number }[] = []
  for (let i = 0; i < rounds; i++) times.push({ step: await timed(step), bare: await timed(bare.run) })
  const [stepMs, bareMs] = [median(times.map((time) => time.step)), median(times.map((time) => time.bare))]
  const ratio = median(times.map((time) => time.step / time.bare))
  const columns = [
    `${shapeName} ${methodName}`.padEnd(12),
    `${(((rows * length) / stepMs) * 1000).toFixed(0).padStart(6)} tokens/s`,
    `step ${stepMs.toFixed(0).padStart(5)} ms`,
    `bare products ${bareMs.toFixed(0).padStart(5)} ms (${(bare.flops / bareMs / 1e6).toFixed(0)} GFLOP/s)`,
    `ratio ${ratio.toFixed(2)}`,
    `peak ${peak.toFixed(2)} GiB`
  ]
  console.log(columns.join("  "))
}

const [shapeName, methodName, threads = "0"] = process.argv.slice(2)
if (methodName !== undefined) await measure(shapeName as keyof typeof shapes, methodName, Number(threads))
else
  for (const shape of shapeName === undefined ? Object.keys(shapes) : [shapeName])
    for (const method of Object.keys(methods))
      spawnSync(process.execPath, ["--conditions=source", "--no-warnings", import.meta.filename, shape, method], { stdio: "inherit" })
