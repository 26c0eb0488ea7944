// register: the gate, the next version, and a folder that holds the model, its card and what was registered.
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import type { Scores } from "#src/domain/Scores.ts"
import { unmetRequirements } from "#stages/register/gate.ts"
import { run } from "#stages/register/run.ts"
import { registerKind } from "#stages/register/stage.ts"
import { tinyAdapter, tinyFull, tinyModelFolder } from "../generation/tinyModel.ts"
import { context, sameBytes } from "./context.ts"

const scores: Scores = {
  metrics: {
    perplexity: { model: 3.2, baseline: 12.5, better: "lower", difference: { low: -9.9, high: -8.7 } },
    exactMatch: { model: 0.5, baseline: 0.5, better: "higher" },
    tokenAccuracy: { model: null, baseline: 0.2, better: "higher" }
  },
  rows: 40,
  tokens: 900,
  samples: []
}
const unmet = (requires: Parameters<typeof unmetRequirements>[0]) => unmetRequirements(requires, scores, "register")

describe("the gate", () => {
  test("better than baseline follows the metric's direction and is strict", () => {
    expect(unmet({ perplexity: "better than baseline" })).toEqual([])
    expect(unmet({ exactMatch: "better than baseline" })).toEqual(["exactMatch 0.5 is not higher than the baseline's 0.5"])
    expect(unmet({ tokenAccuracy: "better than baseline" })).toEqual(["tokenAccuracy NaN is not higher than the baseline's 0.2"])
  })

  test("min and max hold at their value", () => {
    expect(unmet({ exactMatch: { min: 0.5, max: 0.5 } })).toEqual([])
    expect(unmet({ exactMatch: { min: 0.8 }, perplexity: { max: 3 } })).toEqual([
      "exactMatch 0.5 is below 0.8",
      "perplexity 3.2 is above 3"
    ])
    expect(unmet({ tokenAccuracy: { min: 0 } })).toEqual(["tokenAccuracy NaN is below 0"])
  })

  test("a metric that was not measured is named with those that were", () => {
    expect(() => unmet({ bleu: { min: 1 } })).toThrow(
      expect.objectContaining({ _tag: "DefinitionError", why: "measured: perplexity, exactMatch, tokenAccuracy" })
    )
  })
})

describe("register", () => {
  let base: string
  let full: string
  let scoresFile: string
  beforeAll(async () => {
    base = await tinyModelFolder(1)
    full = await tinyFull(base, 2)
    scoresFile = join(mkdtempSync(join(tmpdir(), "anneal-scores-")), "scores")
    writeFileSync(scoresFile, JSON.stringify(scores))
  })

  const register = async (config: Partial<typeof registerKind.config.Encoded>, model: string, version = 1) => {
    const c = context(registerKind, { name: "desk", ...config }, { model, scores: scoresFile })
    const asked: string[] = []
    const reserveVersion = async (name: string) => {
      asked.push(name)
      return version
    }
    const result = await run({ ...c, reserveVersion }).then(
      (value) => ({ value }),
      (error: unknown) => ({ error })
    )
    return { ...result, asked, folder: c.output("registration") }
  }

  test("the folder is the model's, with a card and a record", async () => {
    const { value, folder } = (await register({ aliases: ["latest", "prod"], description: "Answers the desk." }, full, 3)) as never as {
      readonly value: unknown
      readonly folder: string
    }
    expect(value).toEqual({
      summary: "desk@3 (latest, prod)",
      registration: { name: "desk", version: 3, aliases: ["latest", "prod"], output: "registration" }
    })
    const files = readdirSync(full)
    expect(readdirSync(folder).toSorted()).toEqual([...files, "README.md", "registration.json"].toSorted())
    for (const file of files) expect(sameBytes(join(full, file), join(folder, file))).toBe(true)
    expect(JSON.parse(readFileSync(join(folder, "registration.json"), "utf8"))).toMatchObject({
      name: "desk",
      version: 3,
      digests: { model: "sha256:model", scores: "sha256:scores" },
      metrics: scores.metrics
    })
    const card = readFileSync(join(folder, "README.md"), "utf8")
    expect(card).toMatch(/^---\nbase_model: ".*"\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n {2}- anneal\n/)
    for (const line of [
      "# desk@3",
      "Answers the desk.",
      "| perplexity | 12.5 | 3.2 | -9.3 | -9.9 to -8.7 | lower |",
      "| tokenAccuracy | 0.2 | NaN | - | - | higher |",
      "| learningRate | 0.001 |",
      "| method.type | full |",
      "| training tokens | sha256:train |",
      'anneal generate desk@3 --prompt "..."'
    ])
      expect(card.split("\n")).toContain(line)
  })

  test("an adapter's card says how PEFT loads it", async () => {
    const { folder } = await register({}, (await tinyAdapter(base, 3)).folder)
    const card = readFileSync(join(folder, "README.md"), "utf8")
    expect(card).toContain("library_name: peft")
    expect(card).toContain("PeftModel.from_pretrained")
  })

  test("the card of an adapter over a 4-bit base quantises it for transformers as it was", async () => {
    const model = (await tinyAdapter(base, 3)).folder
    const path = join(model, "anneal.json")
    const quantization = { quantType: "fp4", doubleQuant: true, blockSize: 64 }
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), method: "qlora", quantization }))
    const card = readFileSync(join((await register({}, model)).folder, "README.md"), "utf8")
    expect(card).toContain('load_in_4bit=True, bnb_4bit_quant_type="fp4"')
    expect(card).toContain("bnb_4bit_use_double_quant=True")
    expect(card).toMatch(/from_pretrained\(.*quantization_config=quantization\)/)
  })

  test("a gate that is not met takes no version", async () => {
    const { error, asked } = (await register({ requires: { exactMatch: { min: 0.8 } } }, full)) as never as {
      error: unknown
      asked: string[]
    }
    expect(error).toMatchObject({ _tag: "GateError", exitCode: 3, message: "desk is not registered: exactMatch 0.5 is below 0.8" })
    expect(asked).toEqual([])
  })

  test("a folder that no train stage made is refused", async () => {
    const { error } = (await register({}, base)) as never as { error: unknown }
    expect(error).toMatchObject({ _tag: "DataError", message: "the model folder has no anneal.json" })
  })
})
