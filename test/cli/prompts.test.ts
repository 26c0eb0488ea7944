// A prefix and virtual tokens on the whole road: trained, evaluated, registered, asked, exported, and used from a folder as PEFT writes it.
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { makeRoad } from "./real.ts"

const methods = {
  prefix: `prefix({ numVirtualTokens: 8, init: { text: "say a number twice" } })`,
  "prefix with projection": `prefix({ numVirtualTokens: 8, projection: true })`,
  "virtual tokens": `promptTuning({ numVirtualTokens: 8, init: { text: "say it" } })`
}

test.each(Object.entries(methods))("%s", async (kind, method) => {
  const { anneal, root, write } = await makeRoad()
  write(
    "pipelines/front.mjs",
    `import { baseModel, evaluate, format, ingest, pipeline, prefix, promptTuning, register, split, train } from "anneal"
export default pipeline("front", () => {
  const base = baseModel("base")
  const parts = split(ingest({ from: "rows.jsonl", as: "instruction" }), { validation: 0.1, test: 0.2, seed: 1 })
  const tokens = format({ ...parts, base }, { template: "plain", maxLength: 64 })
  const model = train({ tokens, base }, { method: ${method}, maxSteps: 12, learningRate: 0.1 })
  const scores = evaluate({ model, tokens: tokens.test, baseline: base }, { metrics: ["perplexity", "exactMatch"], maxNewTokens: 4 })
  register(model, scores, { name: "tiny" })
})
`
  )
  const run = await anneal("run", "front", "--name", "go")
  expect(run).toMatchObject({ code: 0 })
  const { stages } = JSON.parse((await anneal("show", "go", "--json")).stdout) as {
    readonly stages: readonly { readonly id: string; readonly metrics: Readonly<Record<string, number>> }[]
  }
  const { perplexity, "baseline.perplexity": before } = stages.find(({ id }) => id === "evaluate")!.metrics
  expect(perplexity).toBeLessThan(before!)

  const ask = ["--prompt", "say 3 twice", "--max-new-tokens", "8"]
  const answer = await anneal("generate", "tiny", ...ask)
  expect(answer).toMatchObject({ code: 0 })
  expect(answer.stdout).not.toBe((await anneal("generate", "./base", ...ask)).stdout)

  expect(await anneal("export", "model", "tiny", "out")).toMatchObject({ code: 0 })
  const config = JSON.parse(readFileSync(join(root, "out", "adapter_config.json"), "utf8")) as object
  expect(config).toMatchObject({ peft_type: kind === "virtual tokens" ? "PROMPT_TUNING" : "PREFIX_TUNING", num_virtual_tokens: 8 })
  expect(existsSync(join(root, "out", "encoder.safetensors"))).toBe(kind === "prefix with projection")
  expect((await anneal("generate", "./out", ...ask)).stdout).toBe(answer.stdout)
  // As PEFT leaves it; how it was asked in training is not known then, so the prompt is taken as it is.
  for (const name of ["anneal.json", "encoder.safetensors", "tokenizer.json"]) rmSync(join(root, "out", name), { force: true })
  const alone = await anneal("generate", "./out", "--base", "base", ...ask)
  expect(alone).toMatchObject({ code: 0 })
  expect(alone.stdout).not.toBe((await anneal("generate", "./base", ...ask)).stdout)

  for (const [command, more] of [
    ["merge", []],
    ["model", ["--format", "hf"]]
  ] as const) {
    const merged = await anneal("export", command, "tiny", "merged", ...more)
    expect(merged).toMatchObject({ code: 1 })
    expect(merged.stderr).toMatch(/cannot be worked into its base[\s\S]*it adds tokens or a prefix/)
    expect(existsSync(join(root, "merged"))).toBe(false)
  }

  // A registered model whose bytes are others is used for nothing.
  const { models } = JSON.parse((await anneal("models", "--json")).stdout) as { readonly models: readonly { readonly path: string }[] }
  const weights = join(models[0]!.path, "adapter_model.safetensors")
  const bytes = readFileSync(weights)
  bytes[bytes.length - 1]! ^= 1
  chmodSync(weights, 0o644)
  writeFileSync(weights, bytes)
  for (const args of [
    ["generate", "tiny", ...ask],
    ["export", "model", "tiny", "damaged"]
  ]) {
    const damaged = await anneal(...args)
    expect(damaged).toMatchObject({ code: 1, stdout: "" })
    expect(damaged.stderr).toMatch(/tiny@1 was changed in the store[\s\S]*run its pipeline again/)
  }
  expect(existsSync(join(root, "damaged"))).toBe(false)
})
