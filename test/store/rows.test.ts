// rows.ts: what is written is read back, the same rows give the same bytes, damage is named.
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { batchRows } from "#src/store/arrow.ts"
import { readRows, writeRows } from "#src/store/rows.ts"

const folder = mkdtempSync(join(tmpdir(), "anneal-rows-"))
const file = (name: string) => join(folder, name)

describe("rows", () => {
  it("keeps absent, empty and unusual text apart", async () => {
    const rows = [
      { id: "a", instruction: "say", output: "ö\u{1f600}\n" },
      { id: "b", instruction: "", input: "", output: "\ufeffx\0" },
      { id: "c", instruction: "i", input: "context", output: "o" }
    ]
    await writeRows(file("instruction"), "instruction", rows)
    expect(await readRows(file("instruction"))).toEqual({ kind: "instruction", rows })
    const read = (await readRows(file("instruction"))).rows[0]
    expect(read !== undefined && "input" in read).toBe(false)
  })

  it("keeps chat messages in order", async () => {
    const rows = [
      {
        id: "1",
        messages: [
          { role: "user", content: "q" },
          { role: "assistant", content: "a" }
        ]
      },
      { id: "2", messages: [{ role: "system", content: "" }] }
    ] as const
    await writeRows(file("chat"), "chat", rows)
    expect(await readRows(file("chat"))).toEqual({ kind: "chat", rows })
  })

  it("reads an empty table", async () => {
    await writeRows(file("none"), "text", [])
    expect(await readRows(file("none"))).toEqual({ kind: "text", rows: [] })
  })

  it("gives the same bytes for the same rows, over several batches", async () => {
    const rows = Array.from({ length: batchRows * 2 + 5 }, (_, i) => ({ id: `r${i}`, text: `text ${i}`, label: i % 2 ? "a" : "b" }))
    await writeRows(file("one"), "classification", rows)
    await writeRows(file("two"), "classification", rows)
    expect(readFileSync(file("one")).equals(readFileSync(file("two")))).toBe(true)
    expect((await readRows(file("one"))).rows).toEqual(rows)
  })

  it("names a damaged file, a missing one and one that is no rows table", async () => {
    await writeRows(file("whole"), "text", [{ id: "a", text: "one" }])
    const bytes = readFileSync(file("whole"))
    writeFileSync(file("cut"), bytes.subarray(0, bytes.length - 20))
    await expect(readRows(file("cut"))).rejects.toMatchObject({ _tag: "DataError", where: file("cut"), why: /ends too early/ })
    writeFileSync(file("other"), "text, not a table")
    await expect(readRows(file("other"))).rejects.toMatchObject({ _tag: "DataError", why: "it does not begin as an Arrow file" })
    await expect(readRows(file("absent"))).rejects.toMatchObject({
      _tag: "DataError",
      message: `the table cannot be read: ${file("absent")}`
    })
    const middle = Buffer.from(bytes)
    middle.fill(0xff, middle.length - 60, middle.length - 10)
    writeFileSync(file("middle"), middle)
    await expect(readRows(file("middle"))).rejects.toMatchObject({ _tag: "DataError", message: "the table file is damaged" })
  })
})
