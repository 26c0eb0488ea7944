// The whole road through the command line: eight real stages, reuse, one changed option, a model that answers and is exported.
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { makeRoad } from "./real.ts"

interface Shown {
  readonly stages: readonly { readonly id: string; readonly outcome: string; readonly key: string }[]
}

test("run, run again, change the learning rate, compare, generate, export", async () => {
  const { anneal, root } = await makeRoad()
  const first = await anneal("run", "road", "--name", "first")
  expect(first.stderr).toContain("trainable params: ")
  expect(first.stderr).toContain("registered tiny@1")
  expect(first).toMatchObject({ code: 0 })
  expect(first.stdout).toMatch(/METRIC +BASE +MODEL +CHANGE +95 % INTERVAL\nperplexity +[\d.e]+ +[\d.e]+ +[-+]/)
  expect(first.stdout.match(/^asked {3}/gm)).toHaveLength(3)
  expect(first.stdout).toContain('anneal generate tiny@1 --prompt "..."')

  const outcomes = async (run: string): Promise<Readonly<Record<string, string>>> => {
    const { stages } = JSON.parse((await anneal("show", run, "--json")).stdout) as Shown
    return Object.fromEntries(stages.map((stage) => [stage.id, stage.outcome]))
  }
  expect((await anneal("run", "road", "--name", "again")).stderr).toContain("8 stages: 8 reuse")
  expect(new Set(Object.values(await outcomes("again")))).toEqual(new Set(["reused"]))

  const changed = await anneal("run", "road", "--name", "slower", "--set", "train.learningRate=1e-3")
  expect(changed.stderr).toContain("● train      started  why: train.learningRate 0.01 -> 0.001")
  const after = await outcomes("slower")
  expect(Object.keys(after).filter((id) => after[id] === "done")).toEqual(["train", "evaluate", "register"])
  const compared = (await anneal("compare", "first", "slower")).stdout
  expect(compared).toContain("first stage that differs: train")
  expect(compared).toMatch(/train: loss by step\nSTEP +first +slower\n +1 +[\d.]+ +[\d.]+\n +2 .*\n +3 .*\n +4 /)
  // The log of a reused stage is shown too.
  expect((await anneal("show", "again")).stdout).toMatch(
    /train: loss by step\nSTEP +LOSS +VALIDATION +GRAD NORM +LEARNING RATE +TOKENS\n +1 +[\d.]+ +- +[\d.]+ +0.01 +\d+\n/
  )
  expect(compared).toMatch(/FIGURE +first +slower +CHANGE +95 % INTERVAL +slower\n/)
  expect(compared).toMatch(/\nevaluate\.perplexity +[\d.e]+ +[\d.e]+ +\+[\d.e]+ +\+[\d.e]+ \.\. \+[\d.e]+ +worse\n/)
  expect(compared).not.toMatch(/\ningest\.rows /)
  expect(compared).toMatch(/\n\d+ figures the same in all runs: --all shows them\n/)
  expect((await anneal("compare", "first", "slower", "--all")).stdout).toMatch(/\ningest\.rows /)
  const { verdicts } = JSON.parse((await anneal("compare", "first", "slower", "--json")).stdout) as { verdicts: unknown }
  expect(verdicts).toMatchObject({ "evaluate.perplexity": { verdict: "worse", low: expect.any(Number) as number } })
  expect((await anneal("compare", "first", "again")).stdout).toMatch(/^\d+ figures the same in all runs: --all shows them\n/)
  expect((await anneal("compare", "first", "slower", "--samples")).stdout).toMatch(
    /\nasked {3}.+\nwanted {2}.+\nfirst {3}.+\nslower {2}.+\n/
  )
  expect((await anneal("compare", "first", "slower", "--samples", "--md")).stdout).toContain("| asked | wanted | first | slower |\n")

  const still = ["optimizer=sgd", "learningRate=1e-12", "maxSteps=22"].flatMap((option) => ["--set", `train.${option}`])
  const dead = /! train +20 steps in a row, up to step 20, changed the weights by less than 1e-9/
  expect((await anneal("run", "road", "train", "--name", "still", "--ui", "plain", ...still)).stderr).toMatch(dead)
  expect((await anneal("show", "still")).stdout).toContain("! train: 20 steps in a row, up to step 20")
  expect((await anneal("run", "road", "train", "--name", "reused", ...still)).stderr).not.toMatch(dead)
  expect((await anneal("show", "reused")).stdout).toContain("! train: 20 steps in a row, up to step 20")

  const models = JSON.parse((await anneal("models", "tiny", "--json")).stdout) as { models: unknown }
  expect(models.models).toMatchObject([
    { version: 1, aliases: [] },
    { version: 2, aliases: ["latest"] }
  ])
  expect(await anneal("models", "tiny", "--alias", "prod=1")).toMatchObject({ code: 0 })
  const ask = ["--prompt", "say 3 twice", "--max-new-tokens", "4"]
  const greedy = await anneal("generate", "tiny@prod", ...ask)
  expect(greedy).toMatchObject({ code: 0, stderr: "" })
  expect((await anneal("generate", "tiny@1", ...ask)).stdout).toBe(greedy.stdout)
  // The prompt has the input behind the instruction, as rows with both have.
  const both = await anneal("generate", "tiny@1", "--prompt", "say 3", "--input", "twice", "--max-new-tokens", "4")
  expect(both.stdout).toBe((await anneal("generate", "tiny@1", "--prompt", "say 3\ntwice", "--max-new-tokens", "4")).stdout)
  expect((await anneal("generate", "./base", ...ask, "--input", "x")).stderr).toContain(
    "--input goes with a model that was trained on instruction rows"
  )
  const sampled = await anneal("generate", "tiny@1", ...ask, "--temperature", "2", "--seed", "5", "--json")
  expect(JSON.parse(sampled.stdout)).toMatchObject({ version: 1, model: "tiny@1", prompt: "say 3 twice" })

  expect(await anneal("export", "model", "tiny@1", "out/peft")).toMatchObject({ code: 0 })
  expect(readdirSync(join(root, "out/peft"))).toEqual(expect.arrayContaining(["adapter_config.json", "adapter_model.safetensors"]))
  expect(await anneal("export", "model", "tiny@1", "out/hf", "--format", "hf")).toMatchObject({ code: 0 })
  expect(existsSync(join(root, "out/hf/model.safetensors"))).toBe(true)
  expect((await anneal("generate", "./out/hf", ...ask)).stdout).toBe(greedy.stdout)
  expect(await anneal("export", "model", "tiny@1", "out/hf")).toMatchObject({ code: 2 })
})

const sizes = { hidden_size: 16, intermediate_size: 24, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 8 }
const common = { vocab_size: 258, bos_token_id: 256, eos_token_id: 257, initializer_range: 0.2, max_position_embeddings: 128 }
const others = [
  { model_type: "gpt2", ...common, max_position_embeddings: undefined, n_positions: 72, n_embd: 16, n_layer: 2, n_head: 2 },
  { model_type: "gemma3_text", ...common, ...sizes, sliding_window: 8, sliding_window_pattern: 2, pad_token_id: 0 },
  { model_type: "qwen3", ...common, ...sizes, tie_word_embeddings: true }
]

test.each(others)("the road with a base of the family $model_type", async (config) => {
  const { anneal } = await makeRoad(config)
  const run = await anneal("run", "road")
  expect(run.stderr).toContain("registered tiny@1")
  expect(run.code).toBe(0)
  const note = "config.json names a dropout of 0.1 (residual), this training uses residualDropout: 0"
  expect(run.stderr.includes(note)).toBe(config.model_type === "gpt2")
  const ask = ["--prompt", "say 3 twice", "--max-new-tokens", "6"]
  const answer = await anneal("generate", "tiny@1", ...ask)
  expect(answer).toMatchObject({ code: 0, stderr: "" })
  expect(await anneal("export", "model", "tiny@1", "out/hf", "--format", "hf")).toMatchObject({ code: 0 })
  expect((await anneal("generate", "./out/hf", ...ask)).stdout).toBe(answer.stdout)
})

test("Ctrl-C during training saves a checkpoint; the printed command goes on from it", async () => {
  const { start, anneal } = await makeRoad()
  const args = ["run", "road", "train", "--set", "train.maxSteps=3000", "--ui", "plain"]
  const run = start(...args)
  await run.saw("step 1")
  run.process.kill("SIGINT")
  const { code, stderr } = await run.result
  expect(code).toBe(130)
  const saved = [...stderr.matchAll(/saved (step-\d+)/g)].at(-1)?.[1]
  expect(saved).toBeDefined()
  expect(stderr).toContain(`go on with: anneal ${args.join(" ")}`)
  const second = start(...args)
  await second.saw(`from checkpoint ${saved}`)
  second.process.kill("SIGINT")
  expect(await second.result).toMatchObject({ code: 130 })
  expect(await anneal("run", "road", "train")).toMatchObject({ code: 0 })
})
