// The quickstart as a user runs it, offline: a real gain on held-out rows, everything reused the second time, and a changed learning
// rate that reruns train and what hangs below it.
import { expect, test } from "vitest"
import { stagesOf, withPipelines } from "./runs.ts"

test("from rows to a registered model, again, and with another learning rate", { timeout: 600_000 }, async () => {
  const workspace = withPipelines()
  const { anneal } = workspace
  // A fraction of the two passes over the rows: enough for the gain. One thread, because another test runs beside it.
  const short = ["--threads", "1", "--set", "train.epochs=0.6"]
  const first = await anneal("run", "quickstart", "--name", "first", ...short)
  expect(first.stderr).toContain("registered desk@1")
  expect(first).toMatchObject({ code: 0 })
  expect(first.stdout.match(/^asked {3}/gm)).toHaveLength(3)
  const stages = await stagesOf(workspace, "first")
  expect(stages["evaluate"]?.metrics["baseline.exactMatch"]).toBeLessThanOrEqual(0.1)
  expect(stages["evaluate"]?.metrics["exactMatch"]).toBeGreaterThanOrEqual(0.8)

  expect((await anneal("run", "quickstart", "--name", "again", ...short)).stderr).toContain("8 stages: 8 reuse")
  expect(Object.values(await stagesOf(workspace, "again")).filter(({ outcome }) => outcome !== "reused")).toEqual([])

  const why = await anneal("why", "quickstart", "train", ...short.slice(2), "--set", "train.learningRate=1e-3")
  expect(why.stdout).toMatch(/train\.learningRate \S+ -> 0\.001/)
  // Three steps are enough to see what runs; so few that the gate may stay shut.
  await anneal("run", "quickstart", "--name", "changed", "--threads", "1", "--set", "train.learningRate=1e-3", "--set", "train.maxSteps=3")
  const changed = Object.values(await stagesOf(workspace, "changed"))
  expect(changed.filter(({ outcome }) => outcome !== "reused").map(({ id }) => id)).toEqual(["train", "evaluate", "register"])
})
