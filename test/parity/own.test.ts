// The project's own small references (own/make.py): they are here on every machine and cover what the shared ones do not, such as biases.
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { describe, expect, test } from "vitest"
import { loadAdapter } from "#src/adapters/peft.ts"
import { adamw, adamwFactors } from "#src/graph/optimizer/adamw.ts"
import { clipFactor } from "#src/graph/optimizer/clip.ts"
import { loadModel } from "#src/models/load.ts"
import type { Parameter, Weights } from "#src/models/Model.ts"
import type { TypedArray } from "#src/graph/Type.ts"
import { difference, distance, expectGolden, norm, readAll, type Rows, runLoss } from "./forward.ts"
import { greedy } from "./greedy.ts"

interface Greedy {
  readonly greedy: { readonly prompt: readonly number[]; readonly new_ids: readonly number[] }
}

const own = (...path: readonly string[]) => resolve(import.meta.dirname, "own", ...path)

interface Trace {
  readonly optimizer: {
    readonly learning_rate: number
    readonly weight_decay: number
    readonly beta1: number
    readonly beta2: number
    readonly epsilon: number
    readonly max_grad_norm: number
  }
  readonly batches: readonly Rows[]
  readonly losses: readonly number[]
  readonly grad_norms: readonly number[]
}

/** Trains `parameters` along a folder's trace with the reference optimizer; `run` computes one step's loss and gradients. */
const follow = async (
  folder: string,
  parameters: readonly Parameter[],
  initial: Weights,
  run: (weights: Weights, rows: Rows) => Promise<Record<string, TypedArray>>
): Promise<void> => {
  const trace = JSON.parse(readFileSync(join(folder, "trace.json"), "utf8")) as Trace
  const { learning_rate, weight_decay, max_grad_norm, ...rest } = trace.optimizer
  const weights = new Map(parameters.map(({ name }) => [name, initial.read(name)]))
  const start = new Map([...weights].map(([name, values]) => [name, values.slice()]))
  const m = new Map(parameters.map(({ name }) => [name, new Float32Array(weights.get(name)!.length)]))
  const v = new Map(parameters.map(({ name }) => [name, new Float32Array(weights.get(name)!.length)]))
  for (const [step, rows] of trace.batches.entries()) {
    const out = await run({ has: (name) => weights.has(name), read: (name) => weights.get(name)! }, rows)
    const gradient = (name: string) => out[`grad.${name}`] as Float32Array
    const total = norm(parameters.map(({ name }) => norm(gradient(name))))
    expect(Math.abs(Number(out["loss"]![0]) - trace.losses[step]!)).toBeLessThan(1e-4)
    expect(Math.abs(total / trace.grad_norms[step]! - 1)).toBeLessThan(1e-4)
    for (const { name, decay } of parameters) {
      const factors = adamwFactors({ ...rest, learningRate: learning_rate, weightDecay: decay ? weight_decay : 0 }, step + 1)
      const [p, mean, square] = [weights.get(name)!, m.get(name)!, v.get(name)!]
      gradient(name).forEach((g, i) => {
        const next = adamw({ p: p[i]!, m: mean[i]!, v: square[i]! }, g, factors, clipFactor(total, max_grad_norm))
        p[i] = next.p
        mean[i] = next.m
        square[i] = next.v
      })
    }
  }
  const final = readAll(join(folder, "final.safetensors"))
  const all = (of: (name: string) => Float32Array) => norm(parameters.map(({ name }) => norm(of(name))))
  const off = all((name) => difference(weights.get(name)!, final.get(name)!))
  expect(off / all((name) => difference(final.get(name)!, start.get(name)!))).toBeLessThan(1e-3)
}

const families = ["mistral", "phi3", "qwen2", "qwen3", "smollm3", "gemma3_text", "gemma3", "gpt2", "yarn", "dynamic"]

describe.each(families)("own reference %s", (name) => {
  test("logits, hidden states, loss and every gradient", async () => {
    const { model, weights } = await loadModel(own(name, "hf"))
    await expectGolden(own(name), model, weights)
  })

  test("greedy continuation with a key/value cache", async () => {
    const golden = JSON.parse(readFileSync(own(name, "golden.json"), "utf8")) as Greedy
    const { model, weights } = await loadModel(own(name, "hf"))
    expect(await greedy(model, weights, golden.greedy.prompt, golden.greedy.new_ids.length)).toEqual(golden.greedy.new_ids)
  })
})

describe.each(["tied", "untied"])("own reference %s", (name) => {
  test("logits, hidden states, loss and every gradient", async () => {
    const { model, weights } = await loadModel(own(name, "hf"))
    await expectGolden(own(name), model, weights)
  })

  test("five steps of AdamW with clipping and decay groups", async () => {
    const { model, weights } = await loadModel(own(name, "hf"))
    await follow(own(name), model.parameters, weights, (now, rows) => runLoss(model, now, rows))
  })
})

describe("own reference lora", () => {
  const open = async () => {
    const { model, weights } = await loadModel(own("tied", "hf"))
    return { model, weights, adapter: await loadAdapter(own("lora", "adapter"), model) }
  }

  test("logits, loss and every gradient", async () => {
    const { model, weights, adapter } = await open()
    await expectGolden(own("lora"), model, weights, adapter)
  })

  test("merged weights", async () => {
    const { weights, adapter } = await open()
    const merged = adapter.adapter.merge!(weights, adapter.weights)
    for (const [name, expected] of readAll(own("lora", "merged.safetensors"))) {
      expect(distance(merged.read(name), expected, new Array<number>(expected.length).fill(1)), name).toBeLessThan(1e-6)
    }
  })

  test("five steps of AdamW", async () => {
    const { model, weights, adapter } = await open()
    await follow(own("lora"), adapter.adapter.parameters, adapter.weights, (now, rows) =>
      runLoss(model, weights, rows, { ...adapter, weights: now })
    )
  })
})
