// Adapters on the command line: merged into their base in any type, used from a folder as PEFT writes it, evaluated and trained further.
import { cpSync, existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { adapterOf, configOf, saveAdapter } from "#src/adapters/peft.ts"
import { loadModel } from "#src/models/load.ts"
import { openTensorFile, readTensor, writeTensorFile } from "#src/models/weights.ts"
import { completeModelFolder } from "#src/runtime/ModelFolder.ts"
import { openSources } from "#src/store/Sources.ts"
import { pathsOf } from "#src/store/Workspace.ts"
import { loraMethod } from "../adapters/method.ts"
import { tinyInfo } from "../generation/tinyModel.ts"
import { makeRoad } from "./real.ts"

const ask = ["--prompt", "say 3 twice", "--max-new-tokens", "4"]
const readJson = (path: string) => JSON.parse(readFileSync(path, "utf8")) as Readonly<Record<string, unknown>>

/** A workspace with an adapter over its base that changes what the base says: own/ as anneal writes it, peft/ as PEFT does. */
const withAdapter = async () => {
  const workspace = await makeRoad()
  const [base, own, peft] = ["base", "own", "peft"].map((name) => join(workspace.root, name)) as [string, string, string]
  const { model, weights } = await loadModel(base)
  const config = configOf(model, loraMethod({ r: 2, loraAlpha: 4, targetModules: "all-linear" }), "base")
  const fresh = adapterOf(model, config).initial(weights, 1)
  const moved = { read: (name: string) => fresh.read(name).map((x, i) => (name.includes("lora_B") ? 0.2 * Math.sin(1 + i * i) : x)) }
  for (const folder of [own, peft]) await saveAdapter(folder, model, config, moved, weights)
  const { digest } = await openSources(pathsOf(workspace.root, join(workspace.root, "artifacts"))).digest(base)
  await completeModelFolder(own, base, tinyInfo({ path: "base", digest }, "lora"))
  return workspace
}

test("merge: types, the probe's difference, refusals", async () => {
  const { anneal, root } = await withAdapter()
  const adapted = await anneal("generate", "./own", ...ask)
  expect(adapted.stdout).not.toBe((await anneal("generate", "./base", ...ask)).stdout)
  const merged = await anneal("export", "merge", "./own", "out/fp32", "--safe")
  expect(merged).toMatchObject({ code: 0 })
  expect(merged.stderr).toMatch(/merged \.\/own into its base as float32; on a probe of 12 tokens .* by up to \d/)
  expect(merged.stdout.trim()).toBe(join(root, "out/fp32"))
  expect(existsSync(join(root, "out/fp32/adapter_config.json"))).toBe(false)
  expect((await anneal("generate", "./out/fp32", ...ask)).stdout).toBe(adapted.stdout)

  const half = await anneal("export", "merge", "./own", "out/bf16", "--dtype", "bf16", "--json")
  const said = JSON.parse(half.stdout) as {
    readonly dtype: string
    readonly largest: number
    readonly tokens: number
    readonly broken: unknown
  }
  expect(said).toMatchObject({ dtype: "bfloat16", tokens: 12, broken: [] })
  expect(said.largest).toBeGreaterThan(1e-5)
  expect(said.largest).toBeLessThan(0.5)
  expect(readJson(join(root, "out/bf16/config.json"))["dtype"]).toBe("bfloat16")
  const [wide, narrow] = ["fp32", "bf16"].map((name) => openTensorFile(join(root, "out", name, "model.safetensors")))
  expect([...narrow!.keys()].toSorted()).toEqual([...wide!.keys()].toSorted())
  for (const [name, tensor] of narrow!) {
    expect(tensor.dtype).toBe("BF16")
    const exact = readTensor(wide!.get(name)!)
    expect(readTensor(tensor).every((x, i) => Math.abs(x - exact[i]!) <= 2 ** -8 * Math.abs(exact[i]!))).toBe(true)
  }

  expect(await anneal("export", "merge", "./out/fp32", "out/again")).toMatchObject({ code: 2 })
  expect((await anneal("export", "merge", "./own", "out/fp32")).stderr).toContain("is not empty")
  expect((await anneal("export", "merge", "./own", "out/original", "--base-values", "original")).stderr).toContain(
    "was not trained over 4-bit values"
  )
  expect(readdirSync(join(root, "out")).toSorted()).toEqual(["bf16", "fp32"])
})

test("merge --safe refuses values that the type cannot hold; without it they are named", async () => {
  const { anneal, root } = await withAdapter()
  const file = join(root, "peft", "adapter_model.safetensors")
  const tensors = [...openTensorFile(file).values()]
  const data = new Map(tensors.map((tensor) => [tensor.name, readTensor(tensor)]))
  data.get(tensors.find(({ name }) => name.includes("lora_B"))!.name)!.fill(1e6)
  writeTensorFile(file, tensors, (name) => data.get(name)!)
  const refused = await anneal("export", "merge", "./peft", "out", "--base", "base", "--dtype", "fp16", "--safe")
  expect(refused).toMatchObject({ code: 1, stdout: "" })
  expect(refused.stderr).toMatch(/after merging, which is not finite in float16/)
  expect(refused.stderr).toContain("--dtype bf16")
  expect(existsSync(join(root, "out"))).toBe(false)
  expect((await anneal("export", "merge", "./peft", "out", "--base", "base", "--dtype", "fp16")).stderr).toMatch(
    /warning: \d+ tensors hold values that are not finite/
  )
})

test("an adapter as PEFT writes it needs --base; another base than the training's is refused", async () => {
  const { anneal, root } = await withAdapter()
  const adapted = await anneal("generate", "./own", ...ask)
  const alone = await anneal("generate", "./peft", ...ask)
  expect(alone).toMatchObject({ code: 2 })
  expect(alone.stderr).toMatch(/no anneal\.json that says over which base[\s\S]*names base[\s\S]*--base <folder>/)
  const used = await anneal("generate", "./peft", "--base", "base", ...ask)
  expect(used).toMatchObject({ code: 0 })
  expect(await anneal("export", "merge", "./peft", "merged", "--base", "base")).toMatchObject({ code: 0 })
  expect((await anneal("generate", "./merged", ...ask)).stdout).toBe(used.stdout)

  expect((await anneal("export", "model", "./peft", "whole", "--format", "hf")).stderr).toContain("--base <folder>")
  expect(await anneal("export", "model", "./peft", "whole", "--format", "hf", "--base", "base")).toMatchObject({ code: 0 })
  expect((await anneal("generate", "./whole", ...ask)).stdout).toBe(used.stdout)

  cpSync(join(root, "base"), join(root, "moved"), { recursive: true })
  expect((await anneal("generate", "./own", "--base", "moved", ...ask)).stdout).toBe(adapted.stdout)
  cpSync(join(root, "merged", "model.safetensors"), join(root, "moved", "model.safetensors"))
  const other = await anneal("generate", "./own", "--base", "moved", ...ask)
  expect(other).toMatchObject({ code: 1 })
  expect(other.stderr).toContain("is not the one of the training")
  expect((await anneal("generate", "./own", "--base", "nowhere", ...ask)).stderr).toContain("it has no config.json")
})

test("a pipeline evaluates a folder's adapter and trains it further", async () => {
  const { anneal, write } = await withAdapter()
  write(
    "pipelines/further.mjs",
    `import { adapterFolder, baseModel, evaluate, format, ingest, lora, pipeline, split, train } from "anneal"
export default pipeline("further", () => {
  const base = baseModel("base")
  const adapter = adapterFolder("peft")
  const parts = split(ingest({ from: "rows.jsonl", as: "instruction" }), { test: 0.2, seed: 1 })
  const tokens = format({ train: parts.train, test: parts.test, base }, { template: "plain", maxLength: 64 })
  evaluate({ model: adapter, tokens: tokens.test, baseline: base }, { id: "before" })
  const method = lora({ r: 2, loraAlpha: 4, targetModules: "all-linear" })
  const model = train({ tokens, base, adapter }, { method, maxSteps: 4, learningRate: 1e-2 })
  evaluate({ model, tokens: tokens.test, baseline: base }, { id: "after" })
})
`
  )
  const run = await anneal("run", "further", "--name", "go")
  expect(run).toMatchObject({ code: 0 })
  const metric = async (stage: string): Promise<Record<string, number>> => {
    const { stages } = JSON.parse((await anneal("show", "go", "--json")).stdout) as {
      readonly stages: readonly { readonly id: string; readonly metrics: Record<string, number> }[]
    }
    return stages.find(({ id }) => id === stage)!.metrics
  }
  const [before, after] = [await metric("before"), await metric("after")]
  expect(before["perplexity"]).not.toBe(before["baseline.perplexity"])
  expect(after["perplexity"]).toBeLessThan(before["perplexity"]!)
  const other = await anneal("run", "further", "--set", "train.method.r=4")
  expect(other).toMatchObject({ code: 1 })
  expect(other.stderr).toContain("r is 2 there, 4 in the method")
  // The folder's bytes are part of the keys.
  expect((await anneal("plan", "further")).stdout).not.toContain(" run ")
})
