// Every family against transformers: logits, hidden states, loss, every gradient, older configs, greedy continuation.
import { existsSync, readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { parseConfig } from "#src/formats/hfConfig.ts"
import { Graph } from "#src/graph/Graph.ts"
import { encodeModel } from "#src/graph/onnx/encode.ts"
import { modelOf } from "#src/models/families.ts"
import { loadModel } from "#src/models/load.ts"
import type { Model } from "#src/models/Model.ts"
import { hasShared, shared } from "../shared.ts"
import { expectGolden } from "./forward.ts"
import { greedy } from "./greedy.ts"

interface Golden {
  readonly greedy: { readonly prompt: readonly number[]; readonly new_ids: readonly number[] }
}

const graphBytes = (model: Model): Uint8Array => {
  const graph = new Graph()
  const shapes = new Map(model.parameters.map(({ name, shape }) => [name, shape]))
  const { logits } = model.build(graph, {
    inputIds: graph.input("input_ids", "int64", [2, 20]),
    param: (name) => graph.inputs.find((input) => input.name === name) ?? graph.input(name, "float32", shapes.get(name)!)
  })
  graph.output("logits", logits)
  return encodeModel(graph)
}

const models = [
  "gemma3_text",
  "gpt2",
  "llama",
  "llama-bf16",
  "llama-untied",
  "llama-pad-is-eos",
  "llama-q",
  "mistral",
  "phi3",
  "qwen2",
  "qwen2-sliding",
  "qwen3",
  "smollm3"
]

describe.skipIf(!hasShared).each(models)("%s as transformers computes it", (name) => {
  const folder = (...path: readonly string[]) => shared("parity", "models", name, ...path)

  test("logits, hidden states, loss and every gradient", async () => {
    const { model, weights } = await loadModel(folder("hf"))
    await expectGolden(folder(), model, weights)
  })

  test.skipIf(!existsSync(folder("config.legacy.json")))("the older spelling of its config gives the same graph", () => {
    const model = (file: string) => modelOf(parseConfig(readFileSync(folder(file), "utf8"), file), file)
    expect(Buffer.compare(graphBytes(model("config.legacy.json")), graphBytes(model("hf/config.json")))).toBe(0)
  })

  const hubKeys = "hf-hub-keys"
  test.skipIf(!existsSync(folder(hubKeys)))("the hub's own tensor names hold the same weights", async () => {
    const [{ model, weights }, hub] = [await loadModel(folder("hf")), await loadModel(folder(hubKeys))]
    for (const { name } of model.parameters) expect(hub.weights.read(name), name).toEqual(weights.read(name))
  })

  test("greedy continuation with a key/value cache", async () => {
    const { prompt, new_ids } = (JSON.parse(readFileSync(folder("golden.json"), "utf8")) as Golden).greedy
    const { model, weights } = await loadModel(folder("hf"))
    expect(await greedy(model, weights, prompt, new_ids.length)).toEqual(new_ids)
  })
})
