// Bad data and damaged models, each through the command line: one clear error with its place, the right exit code, and once it is mended
// the next run goes on with what was finished.
import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, expect, test } from "vitest"
import type { Workspace } from "./cli.ts"
import { makeRoad, rows } from "./real.ts"

type Damage = (workspace: Workspace) => void

/** What is done to the workspace, the exit code, and what the error says of cause and place. */
const cases: readonly (readonly [name: string, damage: Damage, code: number, says: readonly RegExp[]])[] = [
  [
    "a missing file",
    ({ root }) => writeFileSync(join(root, "pipelines/road.mjs"), renamed(root)),
    2,
    [/no such file or folder: gone\.jsonl/]
  ],
  [
    "a JSONL whose line 7 is cut",
    lines((all) => all.map((line, i) => (i === 6 ? line.slice(0, 12) : line))),
    1,
    [/does not fit instruction: not valid JSON, perhaps cut short/, /at rows\.jsonl line 7/]
  ],
  ["an empty file", lines(() => []), 1, [/the file is empty/, /at rows\.jsonl/]],
  [
    "a row without its required field",
    lines((all) => all.with(3, '{"instruction":"x"}')),
    1,
    [/missing: no "output" among the keys instruction/, /rows\.jsonl line 4, field output/]
  ],
  [
    "Latin-1 bytes",
    ({ root }) => {
      const bytes = Buffer.from('{"instruction":"caf\xe9","output":"x"}\n', "latin1")
      writeFileSync(join(root, "rows.jsonl"), Buffer.concat([Buffer.from(`${rows().slice(0, 2).join("\n")}\n`), bytes]))
    },
    1,
    [/not UTF-8 text/, /at rows\.jsonl line 3, byte offset \d+/]
  ],
  [
    "too few rows for a gate",
    lines((all) => all.slice(0, 5)),
    3,
    [/✘ validate: the rows do not pass minRows: 5 is below the limit 20/, /5 rows, 0 with an empty field/]
  ],
  ["an unknown model_type", configured({ model_type: "mamba" }), 1, [/mamba/, /llama/]],
  ["a safetensors file cut short", ({ root }) => truncateSync(join(root, "base/model.safetensors"), 900), 1, [/model\.safetensors/]],
  ["a tensor of a wrong shape", configured({ intermediate_size: 32 }), 1, [/mlp/, /24/, /32/]],
  ["a missing tensor", configured({ num_hidden_layers: 2 }), 1, [/model\.layers\.1/]],
  [
    "a tokenizer that does not fit",
    configured({ vocab_size: 200 }),
    1,
    [/the tokenizer does not fit the model: it has ids up to 257, the model's vocab_size is 200/]
  ],
  ["a shard index that points outside", shardedOutside, 1, [/\.\.\//]],
  ["learningRate fast", ({ root }) => writeFileSync(join(root, "pipelines/road.mjs"), fast(root)), 2, [/learningRate: expected .*"fast"/]]
]

const script = (root: string): string => readFileSync(join(root, "pipelines/road.mjs"), "utf8")
const renamed = (root: string): string => script(root).replace("rows.jsonl", "gone.jsonl")
const fast = (root: string): string => script(root).replace("learningRate: 1e-2", 'learningRate: "fast"')

function lines(change: (all: readonly string[]) => readonly string[]): Damage {
  return ({ write }) =>
    write(
      "rows.jsonl",
      change(rows())
        .map((line) => `${line}\n`)
        .join("")
    )
}
function configured(change: Readonly<Record<string, unknown>>): Damage {
  return ({ root }) => {
    const path = join(root, "base/config.json")
    writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, "utf8")) as object), ...change }))
  }
}
function shardedOutside({ root }: Workspace): void {
  const path = join(root, "base/model.safetensors.index.json")
  writeFileSync(path, JSON.stringify({ metadata: {}, weight_map: { "model.norm.weight": "../outside.safetensors" } }))
  rmSync(join(root, "base/model.safetensors"))
}

const kept = ["rows.jsonl", "base/config.json", "base/model.safetensors", "pipelines/road.mjs"]

// One workspace whose stages before train have run: each case begins with them and must leave them.
let workspace: Workspace
beforeAll(async () => {
  workspace = await makeRoad()
  expect(await workspace.anneal("run", "road", "format")).toMatchObject({ code: 0 })
})

test.each(cases)("%s: one clear error and its exit code, nothing lost", async (_, damage, code, says) => {
  const whole = kept.map((path) => [join(workspace.root, path), readFileSync(join(workspace.root, path))] as const)
  damage(workspace)
  const failed = await workspace.anneal("run", "road", "train")
  for (const [path, bytes] of whole) writeFileSync(path, bytes)
  rmSync(join(workspace.root, "base/model.safetensors.index.json"), { force: true })
  expect(failed).toMatchObject({ code, stdout: "" })
  const error = failed.stderr.slice(failed.stderr.lastIndexOf("✘"))
  for (const pattern of says) expect(error).toMatch(pattern)
  expect(error).not.toMatch(/^\s+at .*\(.*:\d+:\d+\)$/m)
  const plan = JSON.parse((await workspace.anneal("plan", "road", "train", "--json")).stdout) as {
    readonly stages: readonly { readonly id: string; readonly decision: string }[]
  }
  expect(plan.stages.filter(({ decision }) => decision !== "reuse")).toMatchObject([{ id: "train", decision: "run" }])
})

test("a loss that is not finite fails the stage, keeps the batch, and the next run goes on", async () => {
  const failed = await workspace.anneal("run", "road", "train", "--set", "train.learningRate=1e30", "--set", "train.maxGradNorm=0")
  expect(failed.code).toBe(1)
  expect(failed.stderr).toMatch(/✘ train: .*(NaN|not finite|infinite|Infinity)/)
  const next = await workspace.anneal("run", "road", "train")
  expect(next.code).toBe(0)
  expect(next.stderr).toContain("↺ format")
})
