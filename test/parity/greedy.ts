// Greedy continuation by the model's own cache inputs: one graph for the prompt, one of fixed shape for every further token.
import { Graph } from "#src/graph/Graph.ts"
import type { TypedArray } from "#src/graph/Type.ts"
import type { Built, Cache, Model, Weights } from "#src/models/Model.ts"
import { openSession } from "#src/runtime/openSession.ts"
import type { Session } from "#src/runtime/Session.ts"
import { device } from "../device.ts"

const hidden = -3.4028234663852886e38

const stepGraph = (model: Model, length: number, room: number): Graph => {
  const graph = new Graph()
  const { num_key_value_heads: KV, head_dim } = model.config
  const shapes = new Map(model.parameters.map(({ name, shape }) => [name, graph.input(name, "float32", shape)]))
  const layers = Array.from({ length: model.config.num_hidden_layers }, (_, layer) => layer)
  const past = (kind: string) => layers.map((layer) => graph.input(`past.${kind}.${layer}`, "float32", [1, KV, room, head_dim]))
  const inputIds = graph.input("input_ids", "int64", [1, length])
  const cache = (): Cache => ({
    keys: past("key"),
    values: past("value"),
    mask: graph.input("mask", "float32", [1, 1, length, room + length]),
    positions: graph.input("positions", "int64", [1, length])
  })
  const built: Built = model.build(graph, {
    inputIds,
    param: (name) => shapes.get(name)!,
    select: graph.constant(BigInt64Array.of(BigInt(length - 1)), "int64", [1]),
    ...(room === 0 ? {} : { cache: cache() })
  })
  graph.output("logits", built.logits)
  built.present.forEach(({ key, value }, layer) => {
    graph.output(`key.${layer}`, key)
    graph.output(`value.${layer}`, value)
  })
  return graph
}

const argmax = (logits: TypedArray): number => (logits as Float32Array).reduce((best, x, i, all) => (x > all[best]! ? i : best), 0)

/** The next `count` token ids after `prompt`. */
export const greedy = async (model: Model, weights: Weights, prompt: readonly number[], count: number): Promise<number[]> => {
  const room = prompt.length + count
  const { num_key_value_heads: KV, head_dim: hd, num_hidden_layers: layers } = model.config
  const tensors = Object.fromEntries(model.parameters.map(({ name }) => [name, weights.read(name)]))
  const past: Record<string, Float32Array> = {}
  for (let layer = 0; layer < layers; layer++) {
    for (const kind of ["key", "value"]) past[`past.${kind}.${layer}`] = new Float32Array(KV * room * hd)
  }
  const ids: number[] = []
  const step = async (session: Session, tokens: readonly number[], start: number, more: Record<string, TypedArray>) => {
    const names = Object.keys(past).map((name) => name.slice("past.".length))
    const out = await session.run({ ...tensors, ...more, input_ids: BigInt64Array.from(tokens, BigInt) }, ["logits", ...names])
    for (const name of names) {
      const rows = out[name] as Float32Array
      for (let head = 0; head < KV; head++) {
        const size = tokens.length * hd
        past[`past.${name}`]!.set(rows.subarray(head * size, (head + 1) * size), (head * room + start) * hd)
      }
    }
    ids.push(argmax(out["logits"]!))
  }
  const first = await openSession(stepGraph(model, prompt.length, 0), { threads: 1, device })
  await step(first, prompt, 0, {})
  await first.release()
  const next = await openSession(stepGraph(model, 1, room), { threads: 1, device })
  while (ids.length < count) {
    const start = prompt.length + ids.length - 1
    const mask = Float32Array.from({ length: room + 1 }, (_, place) => (place < start || place === room ? 0 : hidden))
    await step(next, [ids.at(-1)!], start, { ...past, mask, positions: BigInt64Array.of(BigInt(start)) })
  }
  await next.release()
  return ids
}
