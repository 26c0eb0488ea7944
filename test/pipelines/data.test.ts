// The quickstart's data: made again byte for byte, correct, and such that any split holds out names, dates and amounts never seen.
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { expect, test } from "vitest"
import { loadTokenizer } from "#src/text/Tokenizer.ts"
import { files } from "../../pipelines/data/make.ts"

const folder = resolve(import.meta.dirname, "../../pipelines/data")
const read = (path: string): string => readFileSync(resolve(folder, path), "utf8")
const lines = read("rows.jsonl").trimEnd().split("\n")
const rows = lines.map((line) => JSON.parse(line) as { readonly instruction: string; readonly output: string })
const baseText = read("base.txt")

const strict =
  /^(room|table|pay|refund); name: (\w+); date: (\d{4}-\d\d-\d\d); (?:(?:nights|guests): (\d+); )?amount: (\d+\.\d\d) (EUR|USD|GBP)$/
const fields = rows.map(({ output }) => strict.exec(output) ?? [])

// Readers of what people write, apart from the generator's writers.
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
const iso = (year = "", month = "", day = ""): string => `${year}-${month.padStart(2, "0")}-${day.padStart(2, "0")}`
const monthName = `(${months.join("|")})[a-z]*`
const dateForms: readonly (readonly [RegExp, (m: RegExpMatchArray) => string])[] = [
  [new RegExp(`(\\d+)(?:st|nd|rd|th)?(?: of)? ${monthName} (\\d{4})`, "g"), (m) => iso(m[3], `${months.indexOf(m[2] ?? "") + 1}`, m[1])],
  [new RegExp(`${monthName} (\\d+)(?:st|nd|rd|th)?, (\\d{4})`, "g"), (m) => iso(m[3], `${months.indexOf(m[1] ?? "") + 1}`, m[2])],
  [/day (\d+),? (?:of )?month (\d+),? (?:in the )?year (\d{4})/g, (m) => iso(m[3], m[2], m[1])]
]
const datesIn = (text: string): readonly string[] => dateForms.flatMap(([form, date]) => [...text.matchAll(form)].map(date))
// Every number that is neither a day, a count nor a year is an amount. Only whole parts are compared: a stricter test than amounts.
const amountsIn = (text: string): readonly number[] =>
  [...text.replaceAll(/(\d),(\d{3})/g, "$1$2").matchAll(/\d+(?:\.\d\d)?/g)]
    .map(([digits]) => Math.floor(Number(digits)))
    .filter((n) => n >= 40 && (n < 2024 || n > 2043))
const wordsIn = (text: string): readonly string[] => text.match(/\w+/g) ?? []

/** How many rows an entity occurs in, for every entity that a reader finds. */
const rowsWith = (reader: (text: string) => readonly (string | number)[]): ReadonlyMap<string | number, number> => {
  const counts = new Map<string | number, number>()
  for (const { instruction, output } of rows) {
    for (const each of new Set(reader(`${instruction} ${output}`))) counts.set(each, (counts.get(each) ?? 0) + 1)
  }
  return counts
}

test("the generator reproduces what is committed", () => {
  for (const [path, text] of Object.entries(files())) expect(text === read(path), path).toBe(true)
})

test("at least 600 rows, all different, each in the strict form", () => {
  expect(rows.length).toBeGreaterThanOrEqual(600)
  expect(new Set(rows.map((row) => row.instruction)).size).toBe(rows.length)
  expect(rows.filter(({ output }) => !strict.test(output))).toEqual([])
})

test("each request says what its strict form says", () => {
  for (const [i, { instruction }] of rows.entries()) {
    const [, , name = "", date, , amount] = fields[i] ?? []
    expect(wordsIn(instruction), instruction).toContain(name)
    expect(datesIn(instruction), instruction).toEqual([date])
    expect(amountsIn(instruction), instruction).toEqual([Math.floor(Number(amount))])
  }
})

test("no name, date or amount is in two rows", () => {
  const [names, dates, amounts] = [rowsWith(wordsIn), rowsWith(datesIn), rowsWith(amountsIn)]
  for (const [, , name = "", date = "", , amount] of fields) {
    expect(names.get(name), name).toBe(1)
    expect(dates.get(date), date).toBe(1)
    expect(amounts.get(Math.floor(Number(amount))), amount).toBe(1)
  }
})

test("no name, date or amount of a row is in the base's text, nor is the strict form", () => {
  const [names, dates, amounts] = [new Set(wordsIn(baseText)), new Set(datesIn(baseText)), new Set(amountsIn(baseText))]
  expect(dates.size).toBeGreaterThan(1000)
  expect(amounts.size).toBeGreaterThan(1000)
  for (const [, , name = "", date = "", , amount] of fields) {
    expect(names.has(name), name).toBe(false)
    expect(dates.has(date), date).toBe(false)
    expect(amounts.has(Math.floor(Number(amount))), amount).toBe(false)
  }
  expect(baseText).not.toMatch(/\d-\d|; /)
})

test("the tokenizer gives every row and note back, figures as pairs of digits", async () => {
  const tokenizer = await loadTokenizer(resolve(folder, "../models/untrained"))
  for (const text of [
    ...lines,
    ...rows.map((row) => row.instruction),
    ...baseText.split("\n\n").slice(0, 200),
    "Zoë übt 3½ Stunden 🎻\n"
  ]) {
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text)
  }
  const digits = tokenizer.encode("20310").map((id) => tokenizer.decode([id]))
  expect(digits).toEqual(["20", "31", "0"])
})
