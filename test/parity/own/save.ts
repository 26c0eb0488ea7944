// Writes what check_peft.py reads: a model folder, a LoRA adapter folder with random tensors, and the logits computed here.
//   node --conditions=source test/parity/own/save.ts <folder>
import { join, resolve } from "node:path"
import { adapterOf, configOf, saveAdapter } from "#src/adapters/peft.ts"
import { Graph } from "#src/graph/Graph.ts"
import { encodeModel } from "#src/graph/onnx/encode.ts"
import { initialTensor, initialWeights } from "#src/models/initialWeights.ts"
import { loadConfig } from "#src/models/load.ts"
import type { Weights } from "#src/models/Model.ts"
import { saveModel } from "#src/models/save.ts"
import { writeTensorFile } from "#src/models/weights.ts"
import { Session } from "#src/runtime/Session.ts"
import { loraMethod } from "../../adapters/method.ts"

const folder = resolve(process.argv[2] ?? "peft-check")
const ids = [1, 17, 5, 42, 2, 60, 8, 33, 12, 7]

const model = await loadConfig(resolve(import.meta.dirname, "tied/hf"))
const base = initialWeights(model, 3)
const config = configOf(model, loraMethod({ r: 4, targetModules: "all-linear" }), join(folder, "base"))
const lora = adapterOf(model, config)
const { parameters } = lora
// B is 0 in a fresh adapter: random values there make it count.
const byName = new Map(parameters.map((parameter) => [parameter.name, { ...parameter, init: { kind: "normal", std: 0.3 } } as const]))
const fresh = lora.initial(base, 4)
const adapter: Weights = {
  has: fresh.has,
  read: (name) => (name.includes("lora_B") ? initialTensor(byName.get(name)!, 5) : fresh.read(name))
}

const graph = new Graph()
const values = new Map([
  ...model.parameters.map(({ name, shape }) => [name, graph.constant(base.read(name), "float32", shape, name)] as const),
  ...parameters.map(({ name, shape }) => [name, graph.constant(adapter.read(name), "float32", shape, name)] as const)
])
const param = (name: string) => values.get(name)!
const inputIds = graph.constant(BigInt64Array.from(ids, BigInt), "int64", [1, ids.length])
const { logits } = model.build(graph, { inputIds, param, hooks: lora.hooks({ param }) })
graph.output("logits", logits)
const session = await Session.create(encodeModel(graph), { threads: 1 })
const out = await session.run({}, ["logits"])

await saveModel(join(folder, "base"), model, base)
await saveAdapter(join(folder, "adapter"), model, config, adapter, base)
writeTensorFile(join(folder, "logits.safetensors"), [{ name: "logits", shape: logits.shape }], () => out["logits"] as Float32Array)
console.log(`${folder}: base, adapter and logits of the ids ${ids.join(" ")}`)
