// The live block at several widths, as text and through Ink.
import { renderToString } from "ink"
import { createElement as h } from "react"
import { describe, expect, test } from "vitest"
import { emptyRunView, runViewOf } from "#src/domain/RunView.ts"
import { makeTheme } from "#src/report/Theme.ts"
import { bar, liveBlock, sparkline } from "#src/tui/block.ts"
import { LiveView, type LiveState } from "#src/tui/LiveView.ts"
import { liveJournal } from "../report/journal.ts"

const theme = makeTheme({ ascii: false, colour: false })
const view = runViewOf(liveJournal)
const now = view.lastEventAt ?? ""
const state: LiveState = { lines: ["above"], view, now, streaming: false, stopping: false, finished: false }
const idle = { streaming: false, stopping: false }
const drawn = (columns: number, change: Partial<LiveState> = {}): string =>
  renderToString(h(LiveView, { theme, state: { ...state, ...change }, width: columns }), { columns })

test("a bar fills with the share, and a share beyond 1 does not overflow", () => {
  expect(bar(theme, 0)).toBe("░░░░░░░░░░   0 %")
  expect(bar(theme, 0.62)).toBe("██████░░░░  62 %")
  expect(bar(theme, 1)).toBe("██████████ 100 %")
})

test("a sparkline has its lowest and highest block at the extremes, and one block for one value", () => {
  expect(sparkline(theme, [8, 7, 6, 5, 4, 3, 2, 1])).toBe("█▇▆▅▄▃▂▁")
  expect(sparkline(theme, [5])).toBe("▁")
  expect(
    sparkline(
      theme,
      Array.from({ length: 100 }, () => 2)
    )
  ).toBe("▁▁▁▁▁▁▁▁")
})

describe.each([60, 80, 98, 140])("at %i columns", (columns) => {
  test("no line is longer, and the stage, its bar and its position are there", () => {
    const lines = liveBlock(theme, view, now, columns, idle)
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns)
    expect(lines).toHaveLength(3)
    expect(lines[1]).toContain("train")
    expect(lines[1]).toContain("81/120")
    expect(lines[2]).toContain("ctrl-c")
  })
  test("drawn by Ink", () => {
    expect(drawn(columns)).toMatchSnapshot()
  })
})

test("streaming leaves one line of keys, the end leaves the lines only", () => {
  expect(drawn(80, { streaming: true })).toBe("above\n s live view · ctrl-c stops after this step")
  expect(drawn(80, { finished: true }).trim()).toBe("above")
})

test("once ctrl-c was heard, the block says what a second one does", () => {
  expect(drawn(98, { stopping: true })).toContain("ctrl-c again stops at once")
})

test("before the first event the block is only its rule and keys", () => {
  expect(liveBlock(theme, emptyRunView, now, 80, idle)).toHaveLength(2)
})

test("in ascii the block has no character above 126", () => {
  const lines = liveBlock(makeTheme({ ascii: true, colour: false }), view, now, 140, idle)
  expect(lines.join("")).toMatch(/^[ -~]*$/)
})
