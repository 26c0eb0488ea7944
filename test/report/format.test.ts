// Numbers, times, sizes and tables as people read them.
import { describe, expect, test } from "vitest"
import { bytes, compact, cut, duration, fixed, harmless, inline, number, plural, short } from "#src/report/format.ts"
import { csvTable, markdownTable, textTable } from "#src/report/table.ts"

test.each([
  [0, "0"],
  [1000, "1000"],
  [1.0923, "1.092"],
  [0.86, "0.86"],
  [12.3456, "12.35"],
  [2e-5, "2e-5"],
  [0.00012345, "1.23e-4"],
  [-0.5, "-0.5"],
  [1234.5, "1235"],
  [2_500_000, "2.5e6"],
  [null, "NaN"],
  [Infinity, "NaN"],
  [undefined, "-"]
])("number %s is %s", (value, text) => {
  expect(number(value)).toBe(text)
})

test("fixed keeps three digits, and small values in scientific form", () => {
  expect([1.5, 0.0004, 0, null].map(fixed)).toEqual(["1.500", "4e-4", "0.000", "NaN"])
})

test.each([
  [0, "0.0s"],
  [340, "0.3s"],
  [9949, "9.9s"],
  [9951, "10s"],
  [59_700, "1m00s"],
  [652_000, "10m52s"],
  [3_599_600, "1h00m"],
  [11_100_000, "3h05m"]
])("%i ms is %s", (ms, text) => {
  expect(duration(ms)).toBe(text)
})

test("sizes are decimal, counts short", () => {
  expect([999, 1500, 31_200_000_000].map(bytes)).toEqual(["999 B", "1.5 kB", "31.2 GB"])
  expect([950, 11_900, 3_100_000].map(compact)).toEqual(["950", "11.9k", "3.1M"])
})

test("digests, values, long lines and counts", () => {
  expect(short("sha256:51fa9999")).toBe("51fa")
  expect(short(null)).toBe("-")
  expect([inline("a b"), inline([1, "x"]), inline(undefined)]).toEqual(["a b", '[1,"x"]', "null"])
  expect(cut("one\n  two three", 10)).toBe("one two...")
  expect([plural(1, "run"), plural(2, "run")]).toEqual(["1 run", "2 runs"])
})

test("control characters of a model's answer do not reach the terminal", () => {
  expect(harmless("a\tb\nc\x1b[2Jd\x07\u009b1me")).toBe("a\tb\nc\uFFFD[2Jd\uFFFD\uFFFD1me")
})

describe("tables", () => {
  const table = {
    header: ["name", "size"],
    numeric: [1],
    rows: [
      ["a", "1"],
      ["long|er", "1,000"],
      ['say "x"', "\x1b[32m5\x1b[0m"]
    ]
  }
  test("text: aligned by what is seen, numbers to the right, no space at line ends", () => {
    expect(textTable(table)).toBe(["NAME      SIZE", "a            1", "long|er  1,000", 'say "x"      \x1b[32m5\x1b[0m'].join("\n"))
  })
  test("markdown escapes the bar, csv quotes commas and quotes", () => {
    expect(markdownTable(table).split("\n").slice(1, 4)).toEqual(["| --- | ---: |", "| a | 1 |", "| long\\|er | 1,000 |"])
    expect(csvTable(table).split("\r\n").slice(2)).toEqual(['long|er,"1,000"', '"say ""x""",\x1b[32m5\x1b[0m'])
  })
})
