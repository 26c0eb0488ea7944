// ingest: bad input is one clear error with file, line and field; nothing is dropped unless it was asked for.
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { readRows } from "#src/store/rows.ts"
import { run } from "#stages/ingest/run.ts"
import { ingestKind } from "#stages/ingest/stage.ts"
import { context, sourceFile } from "./context.ts"

type Authored = (typeof ingestKind)["config"]["Encoded"]

const failure = (config: Authored): Promise<unknown> =>
  run(context(ingestKind, config)).then(
    () => expect.unreachable("the stage should fail"),
    (error: unknown) => error
  )
const good = (i: number) => JSON.stringify({ instruction: `i${i}`, output: `o${i}` })
const jsonl = (lines: readonly string[]) => sourceFile("rows.jsonl", lines.join("\n"))
const bad = (path: string, rest: Partial<Authored> = {}): Promise<unknown> => failure({ from: path, as: "instruction", ...rest })

describe("a file that cannot be read", () => {
  it("missing, a folder, empty, without rows", async () => {
    const folder = mkdtempSync(join(tmpdir(), "anneal-bad-"))
    const missing = join(folder, "absent.jsonl")
    expect(await bad(missing)).toMatchObject({ _tag: "DataError", message: `no such file: ${missing}` })
    expect(await bad(folder, { format: "jsonl" })).toMatchObject({ message: `${folder} is a folder` })
    const empty = sourceFile("rows.jsonl", "")
    expect(await bad(empty)).toMatchObject({ _tag: "DataError", message: "the file is empty", where: empty })
    const blank = sourceFile("rows.jsonl", "\n\n")
    expect(await bad(blank)).toMatchObject({ message: "the file holds no rows", where: blank })
    const header = sourceFile("rows.csv", "instruction,output\n")
    expect(await bad(header)).toMatchObject({ message: "the file holds no rows", where: header })
  })

  it("Latin-1 bytes are named by line and byte offset, with the command that converts", async () => {
    const path = sourceFile(
      "rows.jsonl",
      Buffer.concat([Buffer.from(`${good(1)}\n{"instruction":"caf`), Buffer.from([0xe9]), Buffer.from('"}')])
    )
    expect(await bad(path)).toMatchObject({
      _tag: "DataError",
      message: "the file is not UTF-8 text",
      where: `${path} line 2, byte offset ${good(1).length + 1 + 19}`,
      why: "byte 0xe9 is not valid there",
      hint: `convert it: iconv -f latin1 -t utf-8 ${path} > ${path}.utf8`
    })
  })

  it("JSON that is cut or holds no list, Parquet that is none, an ending that tells nothing", async () => {
    const cut = sourceFile("rows.json", '[{"instruction":"a"')
    expect(await bad(cut)).toMatchObject({ _tag: "DataError", message: "the file is not valid JSON", where: cut })
    const none = sourceFile("rows.json", '{"a":1}')
    expect(await bad(none)).toMatchObject({ message: "the file holds no list of rows", where: none })
    const parquet = sourceFile("rows.parquet", "no parquet")
    expect(await bad(parquet)).toMatchObject({ _tag: "DataError", message: "the Parquet file cannot be read", where: parquet })
    const other = sourceFile("rows.dat", "x")
    expect(await bad(other)).toMatchObject({ message: `the ending of ${other} does not tell its format` })
  })
})

describe("a row that does not fit", () => {
  it("a line cut short", async () => {
    const path = jsonl([1, 2, 3, 4, 5, 6].map(good).concat(good(7).slice(0, 20)))
    const error = await bad(path)
    expect(error).toMatchObject({ _tag: "DataError", where: `${path} line 7` })
    expect((error as Error).message).toMatch(/^a row does not fit instruction: not valid JSON, perhaps cut short: /)
  })

  it.each([
    ['{"instruction":"a"}', "output", 'missing: no "output" among the keys instruction'],
    ['{"instruction":null,"output":"b"}', "instruction", "expected text, got null"],
    ['{"instruction":"a","output":5}', "output", 'expected text, got 5; write it as text: "5"'],
    [`{"instruction":"a","output":["${"x".repeat(200)}"]}`, "output", `expected text, got ["${"x".repeat(55)}…`]
  ])("%s", async (text, field, problem) => {
    const path = jsonl([good(1), text])
    expect(await bad(path)).toMatchObject({
      _tag: "DataError",
      message: `a row does not fit instruction: ${problem}`,
      where: `${path} line 2, field ${field}`
    })
  })

  it.each([
    ['{"messages":[{"role":"tool","content":"x"}]}', "messages[0].role", 'expected "system" | "user" | "assistant", got "tool"'],
    ['{"messages":[{"role":"user","content":null}]}', "messages[0].content", "expected text, got null"],
    ['{"messages":[{"role":"assistant","tool_calls":[]}]}', "messages[0].content", 'missing: no "content" among the keys role, tool_calls'],
    ['{"messages":[]}', "messages[0]", "missing: the list is empty"],
    ['{"messages":"hello"}', "messages", 'expected a list, got "hello"'],
    ['{"text":"hello"}', "messages", 'missing: no "messages" among the keys text'],
    [
      '{"conversations":[{"from":"observation","value":"x"}]}',
      "messages[0].role",
      'expected "system" | "user" | "assistant", got "observation"'
    ]
  ])("chat: %s", async (text, field, problem) => {
    const path = jsonl([text])
    expect(await bad(path, { as: "chat" })).toMatchObject({
      message: `a row does not fit chat: ${problem}`,
      where: `${path} line 1, field ${field}`
    })
  })

  it("a record that is no object", async () => {
    const path = jsonl([good(1), "[1, 2]"])
    expect(await bad(path)).toMatchObject({
      message: "a row does not fit instruction: expected an object with instruction, input, output, got [1,2]",
      where: `${path} line 2`
    })
  })

  it("half of a character, which would be stored as another", async () => {
    const path = jsonl([good(1), '{"instruction": "a", "output": "b \\ud800"}'])
    expect(await bad(path)).toMatchObject({
      message: expect.stringMatching(/half of a character/) as string,
      where: `${path} line 2, field output`
    })
  })

  it("CSV: a wrong number of columns, an unclosed quote, text after a quote", async () => {
    const columns = sourceFile("rows.csv", "instruction,output\na,b\nc,d,e\n")
    expect(await bad(columns)).toMatchObject({
      message: "a row does not fit instruction: expected 2 columns, found 3",
      where: `${columns} line 3`
    })
    const twice = sourceFile("rows.csv", "instruction,output,output\na,b,c\n")
    expect(await bad(twice)).toMatchObject({
      message: 'a row does not fit instruction: two columns are called "output"',
      where: `${twice} line 1`
    })
    const open = sourceFile("rows.csv", 'instruction,output\na,b\nc,"d\n')
    expect(await bad(open)).toMatchObject({
      message: 'a row does not fit instruction: the quote that opens on line 3 never closes; quote: "" reads quote marks as text'
    })
    const after = sourceFile("rows.csv", 'instruction,output\n"a\nb" c,d\ne,f\n')
    expect(await bad(after)).toMatchObject({
      message: "a row does not fit instruction: text after a closing quote:  c",
      where: `${after} line 2`
    })
  })

  it("lists the first five and counts all", async () => {
    const path = jsonl([good(1), ...Array.from({ length: 7 }, () => "{}")])
    const error = (await bad(path)) as { readonly message: string; readonly why: string }
    expect(error.message).toBe("7 of 8 rows do not fit instruction")
    expect(error.why.match(/line \d, field instruction: missing/g)?.length).toBe(5)
    expect(error.why).toMatch(/; and 2 more$/)
  })

  it("is dropped and counted only when that was asked for", async () => {
    const path = jsonl([good(1), "{}", good(3)])
    const c = context(ingestKind, { from: path, as: "instruction", onBadRow: "drop" })
    const result = await run(c)
    expect((await readRows(c.output("rows"))).rows.length).toBe(2)
    expect(result).toMatchObject({ summary: "2 instruction rows, 1 dropped", metrics: { rows: 2, dropped: 1 } })
    expect(c.logs("warning")).toEqual([
      `dropped 1 of 3 rows: ${path} line 2, field instruction: missing: no "instruction" among the keys (none)`
    ])
    expect(await bad(jsonl(["{}"]), { onBadRow: "drop" })).toMatchObject({ message: "no row is left" })
  })

  it("columns that the row kind does not have", async () => {
    expect(await bad(jsonl([good(1)]), { columns: { question: "q" } })).toMatchObject({
      message: 'ingest\'s columns name "question", which instruction rows do not have',
      hint: "fields of instruction rows: instruction, input, output"
    })
  })
})
