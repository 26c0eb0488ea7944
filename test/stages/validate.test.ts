// validate: figures equal to those computed independently for real data; gates name figure and limit; rows pass unchanged.
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { run as ingest } from "#stages/ingest/run.ts"
import { ingestKind } from "#stages/ingest/stage.ts"
import { figuresOf } from "#stages/validate/figures.ts"
import { run } from "#stages/validate/run.ts"
import { validateKind } from "#stages/validate/stage.ts"
import { hasShared, shared } from "../shared.ts"
import { context, rowsFile, sameBytes } from "./context.ts"

const rows = [
  { id: "1", text: "a b c", label: "x" },
  { id: "2", text: " \t", label: "x" },
  { id: "3", text: "a b c", label: "x" },
  { id: "4", text: "a b c d e f g h i j k l m n o", label: "y" }
]

describe("figures", () => {
  it("counts empty fields, repetitions, outliers and classes", () => {
    expect(figuresOf("classification", rows, 2)).toEqual({
      rows: 4,
      empty: { byField: { text: 1 }, rows: 1 },
      duplicates: 1,
      words: { mean: 21 / 4, median: 3, max: 15 },
      outliers: 1,
      classes: { x: 3, y: 1 },
      imbalance: 3
    })
  })

  it("an empty input is no empty row; an empty message is", () => {
    expect(figuresOf("instruction", [{ id: "1", instruction: "a", input: "", output: "b" }], 3).empty).toEqual({
      byField: { input: 1 },
      rows: 0
    })
    const chat = [
      {
        id: "1",
        messages: [
          { role: "user", content: "" },
          { role: "assistant", content: "" }
        ]
      }
    ] as const
    expect(figuresOf("chat", chat, 3).empty).toEqual({ byField: { "messages.content": 1 }, rows: 1 })
  })

  it("splits words as Python does", () => {
    expect(figuresOf("text", [{ id: "1", text: "a\u00a0b\u0085c\ufeffd" }], 3).words.max).toBe(3)
  })
})

describe("the stage", () => {
  it("passes the rows on byte by byte and reports", async () => {
    const path = await rowsFile("classification", rows)
    const c = context(validateKind, { maxDuplicateShare: 0.25 }, { rows: path })
    const result = await run(c)
    expect(sameBytes(path, c.output("rows"))).toBe(true)
    expect(JSON.parse(readFileSync(c.output("report"), "utf8"))).toMatchObject({
      duplicates: 1,
      gates: [
        { gate: "minRows", value: 4, limit: 1, met: true },
        { gate: "maxDuplicateShare", value: 0.25, limit: 0.25, met: true }
      ]
    })
    expect(result.summary).toBe(
      "4 rows, 1 with an empty field, 1 duplicates, 1 length outliers, words mean 5.25, median 3, max 15, 2 classes, imbalance 3".replace(
        "1 length",
        "0 length"
      )
    )
  })

  it("fails with every gate that is not met and shows the figures", async () => {
    const path = await rowsFile("classification", rows)
    const c = context(validateKind, { minRows: 10, maxEmptyShare: 0.1, maxImbalance: 5 }, { rows: path })
    await expect(run(c)).rejects.toMatchObject({
      _tag: "GateError",
      exitCode: 3,
      message: "the rows do not pass minRows: 4 is below the limit 10; maxEmptyShare: 0.25 is above the limit 0.1",
      why: expect.stringContaining("1 duplicates") as string
    })
  })
})

const table: readonly (readonly [string, (typeof ingestKind)["config"]["Encoded"], Readonly<Record<string, unknown>>])[] = [
  [
    "sms-spam",
    {
      from: shared("data/sms-spam/SMSSpamCollection.tsv"),
      as: "classification",
      header: false,
      quote: "",
      columns: { label: "column0", text: "column1" }
    },
    { rows: 5574, empty: 0, duplicates: 403, words: [15.592, 12, 171], outliers: 73, imbalance: 6.462, classes: { ham: 4827, spam: 747 } }
  ],
  [
    "banking77",
    { from: shared("data/banking77/train.csv"), as: "classification", columns: { label: "category" } },
    { rows: 10003, empty: 0, duplicates: 0, words: [11.949, 10, 79], outliers: 258, imbalance: 5.343 }
  ],
  [
    "gsm8k",
    { from: shared("data/gsm8k/train.jsonl"), as: "instruction", columns: { instruction: "question", output: "answer" } },
    { rows: 7473, empty: 0, duplicates: 0, words: [96.804, 90, 334], outliers: 4 }
  ],
  [
    "self-instruct",
    {
      from: shared("data/self-instruct/seed_tasks.jsonl"),
      as: "instruction",
      columns: { input: "instances.0.input", output: "instances.0.output" }
    },
    { rows: 175, empty: 0, emptyInput: 50, duplicates: 0, words: [81.24, 58, 1045], outliers: 5 }
  ],
  [
    "toy_chat",
    { from: shared("data/openai-cookbook/toy_chat_fine_tuning.jsonl"), as: "chat" },
    { rows: 5, empty: 0, duplicates: 0, words: [824.8, 25, 4015] }
  ]
]

describe.skipIf(!hasShared)("figures of real data (needs the shared data)", () => {
  it.each(table)("%s", async (_, config, expected) => {
    const read = context(ingestKind, config)
    await ingest(read)
    const c = context(validateKind, {}, { rows: read.output("rows") })
    await run(c)
    const report = JSON.parse(readFileSync(c.output("report"), "utf8")) as ReturnType<typeof figuresOf>
    const round = (n: number) => Number(n.toFixed(3))
    const seen = {
      rows: report.rows,
      empty: report.empty.rows,
      duplicates: report.duplicates,
      words: [round(report.words.mean), report.words.median, report.words.max],
      outliers: report.outliers,
      ...(report.imbalance === undefined ? {} : { imbalance: round(report.imbalance), classes: report.classes }),
      ...("emptyInput" in expected ? { emptyInput: report.empty.byField["input"] } : {})
    }
    expect(seen).toMatchObject(expected)
  })
})
