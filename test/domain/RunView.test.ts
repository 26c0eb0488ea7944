// The reducer: what each event changes, and that a journal read in two halves gives what it gives read at once.
import { expect, test } from "vitest"
import { emptyRunView, historyLength, reduceRun, runViewOf, type RunView, type StageView } from "#src/domain/RunView.ts"
import { doneJournal, failedJournal, liveJournal } from "../report/journal.ts"

const stage = (view: RunView, id: string): StageView => {
  const found = view.stages.find((candidate) => candidate.id === id)
  if (found === undefined) throw new Error(`no stage ${id}`)
  return found
}

test("a run before any event is empty, after RunStarted it has its pipeline, config and overrides", () => {
  expect(emptyRunView.stages).toEqual([])
  const view = runViewOf(doneJournal.slice(0, 1))
  expect(view).toMatchObject({ run: "calm-ibis", pipeline: "support", state: "running", overrides: { "train.learningRate": 1e-4 } })
})

test("stages stand in plan order, each with its decision and reason, waiting until an event concerns it", () => {
  const view = runViewOf(doneJournal.slice(0, 2))
  expect(view.stages.map((s) => [s.id, s.decision, s.state])).toEqual([
    ["format", "reuse", "waiting"],
    ["train", "run", "waiting"],
    ["evaluate", "maybe", "waiting"],
    ["register", "maybe", "waiting"]
  ])
  expect(stage(view, "train").reason?.text).toBe("train.learningRate 0.0002 -> 0.0001")
})

test("while it trains: position, newest figures with their steps, bounded history, checkpoint, memory", () => {
  const train = stage(runViewOf(liveJournal), "train")
  expect(train.state).toBe("running")
  expect(train.progress).toMatchObject({ done: 81, total: 120, unit: "steps", first: { done: 21 } })
  expect(train.live["loss"]).toEqual({ value: 3 / 9, step: 81 })
  expect(train.live["validationLoss"]).toEqual({ value: 4 / Math.sqrt(80), step: 80 })
  expect(train.history["loss"]).toHaveLength(61)
  expect(train).toMatchObject({
    resumedFrom: 20,
    checkpoint: { name: "step-80" },
    rss: 312_000_000,
    alerts: [{ kind: "non-finite", step: 61, detail: "step 61: gradNorm is not finite" }]
  })
})

test("a value that is not finite is null live and leaves no point in the history", () => {
  const upTo61 = doneJournal.slice(
    0,
    doneJournal.findIndex((event) => event._tag === "Alert")
  )
  const train = stage(runViewOf(upTo61), "train")
  expect(train.live["gradNorm"]).toEqual({ value: null, step: 61 })
  expect(train.history["gradNorm"]).toHaveLength(40)
})

test("the history keeps the newest values only", () => {
  const metrics = doneJournal.find((event) => event._tag === "Metrics")
  if (metrics === undefined) throw new Error("no metrics")
  let view = runViewOf(liveJournal)
  for (let step = 0; step < 300; step++) view = reduceRun(view, { ...metrics, step, values: { loss: step } })
  expect(stage(view, "train").history["loss"]).toEqual(Array.from({ length: historyLength }, (_, i) => 300 - historyLength + i))
})

test("the end: outcomes, outputs, final metrics, registration and alias", () => {
  const view = runViewOf(doneJournal)
  expect(view).toMatchObject({
    state: "done",
    savedMs: 42_000,
    registered: [{ name: "support", version: 3 }],
    aliases: [{ alias: "latest" }]
  })
  expect(view.stages.map((s) => s.state)).toEqual(["reused", "done", "done", "done"])
  expect(stage(view, "train").metrics).toEqual({ loss: 0.274, validationLoss: 0.365 })
  expect(stage(view, "format").producedBy).toBe("base-01")
})

test("a failure keeps its error and log; the stage below is skipped", () => {
  const view = runViewOf(failedJournal)
  expect(view.state).toBe("failed")
  expect(stage(view, "evaluate")).toMatchObject({
    state: "failed",
    log: ["one row has no reference"],
    error: { message: "no row has a reference" }
  })
  expect(stage(view, "register").state).toBe("skipped")
})

test("a second start of a stage forgets the first attempt's figures but not the plan", () => {
  const restart = doneJournal.find((event) => event._tag === "StageStarted")
  if (restart === undefined) throw new Error("no start")
  const train = stage(reduceRun(runViewOf(liveJournal), restart), "train")
  expect(train).toMatchObject({ step: null, progress: null, history: {}, needs: ["format"], decision: "run" })
})

test("reducing is independent of where the reader stops and goes on", () => {
  for (let cut = 0; cut <= doneJournal.length; cut += 37) {
    expect(doneJournal.slice(cut).reduce(reduceRun, runViewOf(doneJournal.slice(0, cut)))).toEqual(runViewOf(doneJournal))
  }
})
