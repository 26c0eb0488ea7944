// tokens.ts: flat arrays survive the file, in one batch or several; other tables are refused.
import { mkdtempSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import type { TokensMeta } from "#src/domain/Tokens.ts"
import { batchRows } from "#src/store/arrow.ts"
import { writeRows } from "#src/store/rows.ts"
import { readTokens, type TokensTable, writeTokens } from "#src/store/tokens.ts"

const folder = mkdtempSync(join(tmpdir(), "anneal-tokens-"))
const file = (name: string) => join(folder, name)

const meta: TokensMeta = {
  promptFormat: {
    template: "alpaca",
    rowKind: "instruction",
    systemPrompt: "",
    classInstruction: "Classify the text.",
    date: "2025-01-01"
  },
  maxLength: 64,
  trainOnPrompt: false,
  vocabSize: 512,
  eosTokenIds: [2],
  bosTokenId: 1,
  padTokenId: null,
  tokenizerDigest: "sha256:00"
}

const table = (rows: number): TokensTable => {
  const offsets = new Int32Array(rows + 1)
  for (let i = 0; i < rows; i++) offsets[i + 1] = (offsets[i] as number) + (i % 5)
  const total = offsets[rows] as number
  return {
    meta,
    ids: Array.from({ length: rows }, (_, i) => `r${i}`),
    offsets,
    tokens: Int32Array.from({ length: total }, (_, i) => i % 512),
    mask: Uint8Array.from({ length: total }, (_, i) => i % 2),
    promptLength: Int32Array.from({ length: rows }, (_, i) => i % 3),
    reference: Array.from({ length: rows }, (_, i) => (i % 2 ? "" : `answer ${i}`))
  }
}

describe("tokens", () => {
  it.each([0, 1, 7, batchRows + 3])("keeps %i rows", async (rows) => {
    await writeTokens(file("a"), table(rows))
    expect(await readTokens(file("a"))).toEqual(table(rows))
    await writeTokens(file("b"), table(rows))
    expect(readFileSync(file("a")).equals(readFileSync(file("b")))).toBe(true)
  })

  it("refuses a rows table", async () => {
    await writeRows(file("rows"), "text", [{ id: "a", text: "x" }])
    await expect(readTokens(file("rows"))).rejects.toMatchObject({ _tag: "DataError", where: file("rows") })
  })
})
