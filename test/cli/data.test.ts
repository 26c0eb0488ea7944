// Bad data through the command line: one clear error with file, line and field, the right exit code, and once the file is
// corrected the next run goes on with what is finished.
import { cpSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { tinyBase } from "../text/tinyBase.ts"
import { makeWorkspace, type Workspace } from "./cli.ts"

const pipeline = `
import { baseModel, format, ingest, pipeline, split, validate } from "anneal"
export default pipeline("data", () => {
  const rows = validate(ingest({ from: "rows.jsonl", as: "instruction" }), { minRows: 10 })
  const parts = split(rows, { validation: 0.1, test: 0.1 })
  format({ ...parts, base: baseModel("base") }, { template: "plain", maxLength: 64 })
})
`

const line = (i: number): string => JSON.stringify({ instruction: `say ${i}`, output: `${i}` })
const lines = (n: number): string => Array.from({ length: n }, (_, i) => `${line(i)}\n`).join("")

const workspace = (base: string = tinyBase()): Workspace & { readonly rows: (content: string | Uint8Array) => void } => {
  const made = makeWorkspace()
  made.write("pipelines/data.ts", pipeline)
  cpSync(base, join(made.root, "base"), { recursive: true })
  return { ...made, rows: (content) => writeFileSync(join(made.root, "rows.jsonl"), content) }
}

const cases: readonly (readonly [name: string, content: string | Uint8Array, code: number, message: RegExp, where: RegExp])[] = [
  [
    "a line cut short",
    lines(6) + line(6).slice(0, 12),
    1,
    /does not fit instruction: not valid JSON, perhaps cut short/,
    /at rows\.jsonl line 7/
  ],
  ["an empty file", "", 1, /the file is empty/, /at rows\.jsonl/],
  [
    "Latin-1 bytes",
    Buffer.concat([Buffer.from(lines(2)), Buffer.from('{"instruction":"caf\u00e9","output":"b"}\n', "latin1")]),
    1,
    /not UTF-8 text/,
    /at rows\.jsonl line 3, byte offset \d+/
  ],
  [
    "a required field missing",
    `${lines(3)}{"instruction":"a"}\n`,
    1,
    /missing: no "output" among the keys instruction/,
    /rows\.jsonl line 4, field output/
  ],
  ["too few rows for a gate", lines(5), 3, /minRows: 5 is below the limit 10/, /5 rows, 0 with an empty field/]
]

test.each(cases)("%s", async (_, content, expected, message, where) => {
  const { rows, anneal } = workspace()
  rows(content)
  const failed = await anneal("run", "data", "--ui", "plain")
  expect(failed.code).toBe(expected)
  expect(failed.stdout).not.toMatch(/rows\.jsonl/)
  expect(failed.stderr).toMatch(message)
  expect(failed.stderr).toMatch(where)
  expect(failed.stderr).not.toMatch(/^\s+at .*\(.*:\d+:\d+\)$/m)
  rows(lines(20))
  expect((await anneal("run", "data", "--ui", "plain")).code).toBe(0)
  const again = JSON.parse((await anneal("plan", "data", "--json")).stdout) as { stages: { decision: string }[] }
  expect(again.stages.map((stage) => stage.decision)).toEqual(["reuse", "reuse", "reuse", "reuse"])
})

test("a tokenizer that does not fit the vocabulary size", async () => {
  const { rows, anneal } = workspace(tinyBase({ vocabSize: 200 }))
  rows(lines(20))
  const { code, stderr } = await anneal("run", "data", "--ui", "plain")
  expect(code).toBe(1)
  expect(stderr).toMatch(/the tokenizer does not fit the model: it has ids up to 257, the model's vocab_size is 200/)
  const plan = JSON.parse((await anneal("plan", "data", "--json")).stdout) as { stages: { id: string; decision: string }[] }
  expect(plan.stages.map((stage) => [stage.id, stage.decision])).toEqual([
    ["ingest", "reuse"],
    ["validate", "reuse"],
    ["split", "reuse"],
    ["format", "run"]
  ])
})
