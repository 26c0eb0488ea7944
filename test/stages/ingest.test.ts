// ingest: every format gives the rows that are written there, with ids that tell repetitions apart.
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DuckDBInstance } from "@duckdb/node-api"
import { describe, expect, it } from "vitest"
import { readRows } from "#src/store/rows.ts"
import { run } from "#stages/ingest/run.ts"
import { ingestKind } from "#stages/ingest/stage.ts"
import { hasShared, shared } from "../shared.ts"
import { context, sameBytes, sourceFile } from "./context.ts"

const ingest = async (config: (typeof ingestKind)["config"]["Encoded"]) => {
  const c = context(ingestKind, config)
  const result = await run(c)
  const table = await readRows(c.output("rows"))
  const rows: readonly unknown[] = table.rows.map(({ id, ...content }) => (expect(id).toBeTruthy(), content))
  return { c, result, rows, ids: table.rows.map((row) => row.id) }
}

const parquet = async (sql: string): Promise<string> => {
  const path = join(mkdtempSync(join(tmpdir(), "anneal-parquet-")), "rows.parquet")
  const instance = await DuckDBInstance.create(":memory:")
  const connection = await instance.connect()
  await connection.run(`copy (${sql}) to '${path}' (format parquet)`)
  connection.closeSync()
  instance.closeSync()
  return path
}

describe("formats", () => {
  it("reads JSONL with byte order mark, CRLF and blank lines; null where a field may be absent", async () => {
    const text = '\ufeff{"instruction":"a","output":"b","input":null}\r\n\r\n{"instruction":"c","input":"","output":"d"}\n'
    const { rows } = await ingest({ from: sourceFile("x.jsonl", text), as: "instruction" })
    expect(rows).toEqual([
      { instruction: "a", output: "b" },
      { instruction: "c", input: "", output: "d" }
    ])
  })

  it("maps keys and nested keys, adds constants, and tells once which keys it ignored", async () => {
    const text = '{"q":{"text":"a"},"list":[{"out":"b"}],"id":7}\n{"q":{"text":"c"},"list":[{"out":"d"}],"id":8}\n'
    const { rows, c } = await ingest({
      from: sourceFile("x.jsonl", text),
      as: "instruction",
      columns: { input: "q.text", output: "list.0.out" },
      constants: { instruction: "Do it." }
    })
    expect(rows).toEqual([
      { instruction: "Do it.", input: "a", output: "b" },
      { instruction: "Do it.", input: "c", output: "d" }
    ])
    expect(c.logs("info")).toEqual(["keys that instruction rows do not have were ignored: id (2 rows)"])
  })

  it("tells what of messages it ignored", async () => {
    const messages = [
      { role: "user", content: "q", name: "ann" },
      { role: "assistant", content: "a", tool_calls: [] }
    ]
    const { c } = await ingest({ from: sourceFile("x.jsonl", JSON.stringify({ messages })), as: "chat" })
    expect(c.logs("info")).toEqual([
      "keys that chat rows do not have were ignored: messages[].name (1 rows), messages[].tool_calls (1 rows)"
    ])
  })

  it("reads JSON: a list, or an object with one list", async () => {
    const list = [{ prompt: "p", completion: "c" }]
    const one = await ingest({ from: sourceFile("x.json", JSON.stringify(list)), as: "completion" })
    const two = await ingest({ from: sourceFile("x.json", JSON.stringify({ version: 1, data: list })), as: "completion" })
    expect(one.rows).toEqual(list)
    expect(sameBytes(one.c.output("rows"), two.c.output("rows"))).toBe(true)
  })

  it("reads CSV: quotes, doubled quotes, line breaks and delimiters inside, CRLF", async () => {
    const text = 'label,text\r\nx,"a, ""b""\nc"\r\ny,\r\n'
    const { rows } = await ingest({ from: sourceFile("x.csv", text), as: "classification" })
    expect(rows).toEqual([
      { label: "x", text: 'a, "b"\nc' },
      { label: "y", text: "" }
    ])
  })

  it("reads TSV without header and without quoting", async () => {
    const { rows } = await ingest({
      from: sourceFile("x.tsv", 'ham\t"he said\nspam\twin" now'),
      as: "classification",
      header: false,
      quote: "",
      columns: { label: "column0", text: "column1" }
    })
    expect(rows).toEqual([
      { label: "ham", text: '"he said' },
      { label: "spam", text: 'win" now' }
    ])
  })

  it("reads Parquet, nested messages too", async () => {
    const path = await parquet("select [{role: 'user', content: 'q'}, {role: 'assistant', content: 'a'}] as messages, 5::bigint as n")
    const { rows } = await ingest({ from: path, as: "chat" })
    expect(rows).toEqual([
      {
        messages: [
          { role: "user", content: "q" },
          { role: "assistant", content: "a" }
        ]
      }
    ])
  })

  it.each([
    ["line", ["one", "two", "three"]],
    ["paragraph", ["one\ntwo", "three"]],
    ["file", ["one\ntwo\n\nthree"]]
  ] as const)("reads plain text by %s", async (textUnit, texts) => {
    const { rows } = await ingest({ from: sourceFile("x.txt", "one\r\ntwo\r\n\r\nthree\r\n"), as: "text", textUnit })
    expect(rows).toEqual(texts.map((text) => ({ text })))
  })

  it("reads chat from ShareGPT's spelling", async () => {
    const turns = [
      { from: "human", value: "q" },
      { from: "gpt", value: "a" }
    ]
    const { rows } = await ingest({ from: sourceFile("x.json", JSON.stringify([{ conversations: turns }])), as: "chat" })
    expect(rows).toEqual([
      {
        messages: [
          { role: "user", content: "q" },
          { role: "assistant", content: "a" }
        ]
      }
    ])
  })

  it("reads several files in order, up to the limit", async () => {
    const files = [sourceFile("x.txt", "a\n\nb"), sourceFile("x.txt", "c\n\nd")] as const
    expect((await ingest({ from: files, as: "text" })).rows).toEqual([{ text: "a" }, { text: "b" }, { text: "c" }, { text: "d" }])
    expect((await ingest({ from: files, as: "text", limit: 3 })).rows).toEqual([{ text: "a" }, { text: "b" }, { text: "c" }])
    expect((await ingest({ from: files, as: "text", limit: 2 })).rows).toEqual([{ text: "a" }, { text: "b" }])
  })
})

describe("ids", () => {
  it("come from the content, numbered where a row is repeated", async () => {
    const { ids } = await ingest({ from: sourceFile("x.txt", "same\nother\nsame\nsame"), as: "text", textUnit: "line" })
    expect(ids).toEqual([ids[0], ids[1], `${ids[0]}-2`, `${ids[0]}-3`])
    expect(ids[0]).toMatch(/^[0-9a-f]{16}$/)
    expect(ids[1]).not.toBe(ids[0])
  })
})

describe.skipIf(!hasShared)("real data (needs the shared data)", () => {
  it("reads every line of sms-spam", async () => {
    const { rows, result } = await ingest({
      from: shared("data/sms-spam/SMSSpamCollection.tsv"),
      as: "classification",
      header: false,
      quote: "",
      columns: { label: "column0", text: "column1" }
    })
    expect(result.summary).toBe("5574 classification rows")
    expect(rows[0]).toMatchObject({ label: "ham", text: expect.stringMatching(/^Go until jurong point/) as string })
  })

  it("reads 500 ShareGPT conversations, and gsm8k with mapped keys", async () => {
    expect((await ingest({ from: shared("data/fastchat/dummy_conversation.json"), as: "chat" })).rows.length).toBe(500)
    const { rows } = await ingest({
      from: shared("data/gsm8k/test.jsonl"),
      as: "instruction",
      columns: { instruction: "question", output: "answer" }
    })
    expect(rows.length).toBe(1319)
  })
})
