// Runs as users see them: what runs, what is reused, and why, over a small diamond of counting stages.
import { expect, test } from "vitest"
import { bench, decisions, diamond } from "./support.ts"

test("a cold run does everything once, a second one nothing", async () => {
  const b = bench()
  const cold = await b.run(diamond(b))
  expect(cold.outcome).toBe("done")
  expect(decisions(cold)).toEqual({ read: "run", left: "run", right: "run", join: "run" })
  expect([...b.ran()].sort()).toEqual(["join", "left", "read", "right"])
  const warm = await b.run(diamond(b))
  expect(decisions(warm)).toEqual({ read: "reuse", left: "reuse", right: "reuse", join: "reuse" })
  expect(b.ran()).toEqual([])
  expect(warm.stages.map((end) => end.outcome)).toEqual(["reused", "reused", "reused", "reused"])
})
