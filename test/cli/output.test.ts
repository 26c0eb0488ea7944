// Which interface, colours and glyphs an environment gets.
import { expect, test } from "vitest"
import { chooseUi, wantsAscii, wantsColour } from "#src/cli/output.ts"

test.each([
  [{}, true, true],
  [{}, false, false],
  [{ TERM: "dumb" }, true, false],
  [{ FORCE_COLOR: "1" }, false, true],
  [{ FORCE_COLOR: "0" }, true, false],
  [{ NO_COLOR: "1" }, true, false],
  [{ NO_COLOR: "1", FORCE_COLOR: "1" }, true, false],
  [{ NO_COLOR: "" }, true, true]
])("colour with %j on a terminal: %s is %s", (env, isTTY, wanted) => {
  expect(wantsColour({ env, isTTY })).toBe(wanted)
})

test.each([
  [false, { LANG: "en_US.UTF-8" }, false],
  [false, {}, false],
  [true, { LANG: "en_US.UTF-8" }, true],
  [false, { LANG: "POSIX" }, true],
  [false, { LANG: "en_US.UTF-8", LC_ALL: "C" }, true],
  [false, { LANG: "ja_JP.UTF-8" }, true]
])("ascii with the flag %s and %j is %s", (flag, env, wanted) => {
  expect(wantsAscii(flag, env)).toBe(wanted)
})

test.each([
  ["auto", {}, true, "live"],
  ["auto", {}, false, "plain"],
  ["auto", { CI: "true" }, true, "plain"],
  ["auto", { TERM: "dumb" }, true, "plain"],
  ["auto", { INK_SCREEN_READER: "true" }, true, "plain"],
  ["live", { CI: "true" }, true, "live"],
  ["json", {}, true, "json"],
  ["quiet", {}, true, "quiet"]
] as const)("--ui %s with %j, terminal %s: %s", (chosen, env, isTTY, ui) => {
  expect(chooseUi(chosen, { env, isTTY })).toEqual({ ui })
})

test("a live view that cannot be drawn falls back to plain lines and says so", () => {
  const { ui, warning } = chooseUi("live", { env: {}, isTTY: false })
  expect(ui).toBe("plain")
  expect(warning).toContain("needs a terminal")
})
