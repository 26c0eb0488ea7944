// Writes what check_peft.py reads: model folders, over each of them adapters of every kind with random tensors, and the logits computed here.
//   node --conditions=source test/parity/own/save.ts <folder> [<model folder> …]
import { join, resolve } from "node:path"
import * as Schema from "effect/Schema"
import type { Adapter } from "#src/adapters/Adapter.ts"
import { type AdapterMethod, ia3, lora, Method, prefix, promptTuning } from "#src/adapters/options.ts"
import { adapterOf, configOf, saveAdapter } from "#src/adapters/peft.ts"
import { hash32, normal } from "#src/domain/random.ts"
import { Graph } from "#src/graph/Graph.ts"
import { encodeModel } from "#src/graph/onnx/encode.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import { loadModel } from "#src/models/load.ts"
import type { Init, Model, Weights } from "#src/models/Model.ts"
import { saveModel } from "#src/models/save.ts"
import { writeTensorFile, writeText } from "#src/models/weights.ts"
import { freeze } from "#src/runtime/Frozen.ts"
import { Generator } from "#src/runtime/Generator.ts"
import { Session } from "#src/runtime/Session.ts"

const [target = "peft-check", ...given] = process.argv.slice(2)
const folder = resolve(target)
const bases = [resolve(import.meta.dirname, "tied/hf"), resolve(import.meta.dirname, "untied/hf"), ...given.map((path) => resolve(path))]
const ids = [1, 17, 5, 42, 2, 60, 8, 33, 12, 7]

const casesOf = ({ linears, targets, embedding, head, config }: Model): Readonly<Record<string, Parameters<typeof lora>[0]>> => {
  const last = (path: string) => path.split(".").at(-1) as string
  const [first = "", second = ""] = [...new Set(linears.map(({ path }) => last(path)))]
  const outer = [last(embedding), head.path] as const
  return {
    plain: {},
    all_linear: { targetModules: "all-linear" },
    regex: { targetModules: `.*\\.0\\..*${second}`, initLoraWeights: false },
    patterns: {
      targetModules: [first, second],
      rankPattern: { [second]: 3 },
      alphaPattern: { [`.*\\.1\\..*${first}`]: 5 },
      useRslora: true
    },
    layers: { layersToTransform: [1], initLoraWeights: "gaussian" },
    excluded: { targetModules: "all-linear", excludeModules: [second] },
    dora: { targetModules: "all-linear", useDora: true, bias: "lora_only" },
    bias: { bias: "all" },
    embedding: { targetModules: [first, last(embedding)] },
    head: { targetModules: [first, head.path] },
    dora_head: { targetModules: [first, head.path], useDora: true },
    saved_head: { modulesToSave: [head.path] },
    saved_both: { modulesToSave: outer },
    saved_norms: {
      targetModules: [first],
      modulesToSave: ["norm", ...(targets.lora.includes("c_attn") ? ["ln_f"] : [])].slice(-1) as [string]
    },
    // Expressions that fit blocks and activation functions too, which PEFT refuses.
    regex_block: { targetModules: ".*\\.0\\..*", initLoraWeights: false },
    regex_inside: { targetModules: ".*mlp\\..*" },
    bias_saved: { targetModules: [first], bias: "all", modulesToSave: ["mlp"] },
    ...(config.tie_word_embeddings ? { saved_tied: { modulesToSave: outer, ensureWeightTying: true } } : {})
  }
}

/** Norms that are 1 and biases that are 0 would hide whether they are read. */
const randomInit = (init: Init): Init => (init.kind === "constant" ? { kind: "normal", std: 0.5 } : init)

/** A fresh adapter's tensors moved at random, so that every one of them counts. */
const moved = (adapter: Adapter, base: Weights): Weights => {
  const fresh = adapter.initial(base, 4)
  return {
    has: fresh.has,
    read: (name) => {
      const stream = hash32(7, name)
      const share = /lora_B|lora_embedding_A|ia3_l/.test(name) ? 0.3 : 0.1
      return fresh.read(name).map((x, i) => x + share * normal(5, stream, i))
    }
  }
}

const logitsOf = async (model: Model, base: Weights, adapter: Adapter, own: Weights): Promise<Float32Array> => {
  const graph = new Graph()
  const values = new Map([
    ...model.parameters.map(({ name, shape }) => [name, graph.constant(base.read(name), "float32", shape, name)] as const),
    ...adapter.parameters.map(({ name, shape }) => [name, graph.constant(own.read(name), "float32", shape, name)] as const)
  ])
  const param = (name: string) => values.get(adapter.replaces.get(name) ?? name)!
  const inputIds = graph.constant(BigInt64Array.from(ids, BigInt), "int64", [1, ids.length])
  graph.output("logits", model.build(graph, { inputIds, param, hooks: adapter.hooks({ param }) }).logits)
  const session = await Session.create(encodeModel(graph), { threads: 1 })
  const { logits } = await session.run({}, ["logits"])
  await session.release()
  return logits as Float32Array
}

/** What generation with a cache continues the ids with. */
const greedy = async (model: Model, base: Weights, adapter: Adapter, own: Weights): Promise<readonly number[]> => {
  const parameters = [...freeze(model.parameters, base), ...freeze(adapter.parameters, own)]
  const generator = new Generator({ model, adapter, parameters }, { batchSize: 1, threads: 1 })
  const [found] = await generator.generate([ids], { maxNewTokens: 24, eosTokenIds: [] })
  await generator.release()
  return found!.ids
}

const decode = Schema.decodeUnknownSync(Method)
for (const [i, from] of bases.entries()) {
  const { model } = await loadModel(from)
  const base = initialWeights({ ...model, parameters: model.parameters.map((each) => ({ ...each, init: randomInit(each.init) })) }, 3)
  const at = join(folder, String(i))
  await saveModel(join(at, "base"), model, base)
  const methods = [
    ...Object.entries(casesOf(model)).map(([name, options]) => [name, lora({ r: 4, ...options })] as const),
    ["ia3", ia3()] as const,
    ["ia3_head", ia3({ targetModules: [model.head.path, ...model.targets.ia3], feedforwardModules: [model.head.path] })] as const,
    ["prefix", prefix({ numVirtualTokens: 5 })] as const,
    ["prefix_projection", prefix({ numVirtualTokens: 5, projection: true, encoderHiddenSize: 6 })] as const,
    ["prompt_tuning", promptTuning({ numVirtualTokens: 5 })] as const,
    ["prompt_tuning_text", promptTuning({ numVirtualTokens: 5, init: { text: "a text" } })] as const
  ]
  for (const [name, method] of methods) {
    const config = configOf(model, decode(method) as AdapterMethod, join(at, "base"))
    const adapter = adapterOf(model, config)
    const own = moved(adapter, base)
    const logits = await logitsOf(model, base, adapter, own)
    await saveAdapter(join(at, name), model, config, own, base)
    writeTensorFile(join(at, `${name}.safetensors`), [{ name: "logits", shape: [ids.length, model.vocabSize] }], () => logits)
    if (adapter.numVirtualTokens !== undefined) writeText(join(at, `${name}.json`), JSON.stringify(await greedy(model, base, adapter, own)))
    const merged = adapter.merge?.(base, own)
    if (merged === undefined) continue
    for (const dtype of ["float32", "float16", "bfloat16"] as const) await saveModel(join(at, name, dtype), model, merged, dtype)
  }
  console.log(`${at}: ${model.modelType}, ${methods.length} adapters`)
}
console.log(`logits of the ids ${ids.join(" ")}`)
