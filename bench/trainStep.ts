// One case of bench/train.ts: prepares a training as the stage does, takes steps and runs their bare matrix products in turns, and
// prints what it measured as a line of JSON:  trainStep.ts <folder> <case> <device> <dtype> [<rows.jsonl> <tokenizer's folder>]
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Graph } from "#src/graph/Graph.ts"
import { encodeModel } from "#src/graph/onnx/encode.ts"
import { liveNodes } from "#src/graph/order.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import { concat, reshape, slice } from "#src/graph/ops/shape.ts"
import { sizeOf } from "#src/graph/Type.ts"
import type { Node } from "#src/graph/Value.ts"
import { positionsOf, trainingShapes } from "#src/runtime/batchShapes.ts"
import { tensorRates } from "#src/runtime/rates.ts"
import { Session } from "#src/runtime/Session.ts"
import { stepRuns } from "#src/runtime/stepRuns.ts"
import { lossGraph } from "#src/runtime/TrainGraph.ts"
import { loadTokenizer } from "#src/text/Tokenizer.ts"
import { kindOf } from "#stages/device.ts"
import { prepare } from "#stages/train/prepare.ts"
import { type Case, cases } from "./trainCases.ts"
import { arbitraryRows, type Row, shapes, tokensTable, trainTask } from "./trainingCase.ts"

export interface Measured {
  readonly unit: string
  /** Positions or rows a second. */
  readonly speed: number
  /** Medians. */
  readonly stepMs: number
  /** Not on a GPU, where the products' operands would have to be sent there with each run. */
  readonly bare?: { readonly ms: number; /** Of a step's matrix products. */ readonly flops: number }
  /** Bytes of resident memory before the bare products' turn; on a GPU, what the process holds there. */
  readonly peak: number
}

const threads = 2
const realRows = 112
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number
const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now()
  await work()
  return performance.now() - start
}

/** All matrix products of a graph, each over inputs of its own shape, and nothing else. */
const bareProducts = async (graph: Graph): Promise<{ readonly run: () => Promise<unknown>; readonly flops: number }> => {
  const names = (values: readonly { readonly name: string }[]): string[] => values.map(({ name }) => name)
  const listed = graph.nodes.map((node) => ({ node, inputs: names(node.inputs), outputs: names(node.outputs) }))
  const products = liveNodes(listed, names(graph.outputs.map(({ value }) => value)))
    .map(({ node }) => node)
    .filter((node): node is Node<"MatMul"> => node.op === "MatMul")
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

/** gsm8k's rows in Alpaca's template, prompt masked. */
const instructionRows = async (path: string, folder: string): Promise<readonly Row[]> => {
  const { encode } = await loadTokenizer(folder)
  const intro = "Below is an instruction that describes a task. Write a response that appropriately completes the request."
  const endOfText = 50256
  return readFileSync(path, "utf8")
    .split("\n")
    .slice(0, realRows)
    .map((line) => {
      const { question, answer } = JSON.parse(line) as Readonly<Record<string, string>>
      const prompt = encode(`${intro}\n\n### Instruction:\n${question}\n\n### Response:\n`)
      return { tokens: [...prompt, ...encode(answer as string), endOfText].slice(0, 512), prompt: prompt.length }
    })
}

const measure = async (each: Case, folder: string, real: readonly string[]): Promise<Measured> => {
  const shape = shapes[each.base]
  const base = join(folder, each.base)
  const batch = each.config.batchSize as number
  const rows =
    each.rows === "real"
      ? await instructionRows(real[0] as string, real[1] as string)
      : arbitraryRows(new Array<number>(4 * batch).fill(each.rows + 1), shape.vocab)
  const task = await trainTask({ folder: join(folder, each.name), base, config: each.config, train: tokensTable(rows, shape.vocab) })
  const { config } = task
  const { model, tuned, layout, order, learner } = await prepare({ ...task, emit: () => undefined }, threads)

  let made = 0
  const rates = tensorRates(config, learner.store.trainables)
  const planOf = (step: number) => ({
    ...config,
    step,
    group: order.group(step % order.totalSteps),
    made: step,
    learningRate: 1e-4,
    rates,
    lossScale: 1
  })
  const runs = stepRuns(learner, planOf, () => false)
  // Where several steps are one run, that many are timed together.
  const together = learner.steps?.most ?? 1
  const stepped = async (): Promise<{ readonly positions: number; readonly rows: number }> => {
    const read = { positions: 0, rows: 0 }
    for (let i = 0; i < together; i++, made++) {
      const { positions, broken } = await runs.next(made, made)
      if (broken !== undefined) throw new Error(broken.what)
      read.positions += positions
      read.rows += planOf(made).group.flat().length
    }
    return read
  }
  // One of several steps on a GPU has warmed up all that a step needs; two are timed.
  const [warm, turns, blocks] = together > 1 ? [1, 1, 2] : [3, each.turns, each.steps]
  for (let i = 0; i < warm; i++) await stepped()
  const onCpu = kindOf(config.device) === "cpu"
  const peak = onCpu ? 1024 * process.resourceUsage().maxRSS : gpuMemory()

  const [only, ...others] = trainingShapes(learner.sizes, order, layout, positionsOf(model, tuned.tuning))
  if (only === undefined || others.length > 0) throw new Error("the bare products are those of one shape")
  const bare = onCpu ? await bareProducts(lossGraph(model, tuned, batch, only, { training: true, layout }).graph) : undefined
  const [steps, bares]: [number[], number[]] = [[], []]
  const read = { positions: 0, rows: 0 }
  for (let turn = 0; turn < turns; turn++) {
    // The first of a block finds the caches and the threads of the other side.
    await stepped()
    for (let i = 0; i < blocks; i++) {
      const ms = await timed(async () => {
        const { positions, rows } = await stepped()
        read.positions += positions
        read.rows += rows
      })
      steps.push(ms / together)
    }
    if (bare === undefined) continue
    await bare.run()
    for (let i = 0; i < blocks; i++) bares.push(await timed(bare.run))
  }
  const stepMs = median(steps)
  const seconds = (steps.reduce((sum, ms) => sum + ms, 0) * together) / 1000
  const speed =
    each.rows === "real"
      ? { unit: "rows/s", speed: read.rows / seconds }
      : { unit: "tokens/s", speed: (read.positions / (steps.length * together) / stepMs) * 1000 }
  return { ...speed, stepMs, ...(bare === undefined ? {} : { bare: { ms: median(bares), flops: bare.flops } }), peak }
}

/** Bytes that this process holds on the GPU. */
const gpuMemory = (): number => {
  const query = ["--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
  const lines = execFileSync("nvidia-smi", query, { encoding: "utf8" }).trim().split("\n")
  const own = lines.map((line) => line.split(", ").map(Number)).find(([pid]) => pid === process.pid)
  return (own?.[1] ?? Number.NaN) * 2 ** 20
}

const [folder, name, device, dtype, ...real] = process.argv.slice(2) as [string, string, string, string, ...string[]]
const found = cases.find((each) => each.name === name)
if (found === undefined) throw new Error(`no case ${name}; there are ${cases.map((each) => each.name).join(", ")}`)
const config = { ...found.config, device, dtype } as Case["config"]
console.log(JSON.stringify(await measure({ ...found, config }, folder, real)))
process.exit()
