// Golden output of every reporter from one journal.
import { expect, test } from "vitest"
import type { RunEvent } from "#src/domain/RunEvent.ts"
import { emptyRunView, reduceRun } from "#src/domain/RunView.ts"
import { jsonReporter } from "#src/report/json.ts"
import { plainReporter } from "#src/report/plain.ts"
import { quietReporter } from "#src/report/quiet.ts"
import type { Reporter, WriteLine } from "#src/report/Reporter.ts"
import { makeTheme } from "#src/report/Theme.ts"
import { doneJournal, failedJournal } from "./journal.ts"

const printed = (journal: readonly RunEvent[], make: (write: WriteLine) => Reporter): readonly string[] => {
  const lines: string[] = []
  const reporter = make((line) => lines.push(line))
  let view = emptyRunView
  for (const event of journal) {
    view = reduceRun(view, event)
    reporter.report(event, view)
  }
  return lines
}
const plain = makeTheme({ ascii: false, colour: false })

test("plain output of a run that is done", () => {
  expect(printed(doneJournal, (write) => plainReporter(plain, write)).join("\n")).toMatchInlineSnapshot(`
    "support → calm-ibis   4 stages: 1 reuse · 1 run · 2 maybe
    ↺ format     reused train 51fa (produced by base-01)
    ● train      started  why: train.learningRate 0.0002 -> 0.0001
      train      trainable params: 8,192 || all params: 260,032 || trainable%: 3.15
      train      goes on at step 20 from checkpoint step-20
      train      step 21/120 loss 0.655 lr 8.25e-5 norm 1.000 11.9k tok/s
      train      step 31/120 loss 0.539 (-1.7σ) lr 7.42e-5 norm 1.300 (+0.3σ) 11.9k tok/s eta 1m29s
      train      saved step-40 (1.9 MB)
      train      step 41/120 loss 0.469 (-1.5σ) val 0.632@40 lr 6.58e-5 norm 1.600 (+1.6σ) 11.9k tok/s 312.0 MB eta 1m19s
      train      step 51/120 loss 0.420 (-1.4σ) val 0.632@40 lr 5.75e-5 norm 1.200 (-0.4σ) 11.9k tok/s 312.0 MB eta 1m09s
      train      step 61/120 loss 0.384 (-1.4σ) val 0.632@40 lr 4.92e-5 norm NaN 11.9k tok/s 312.0 MB eta 59s
    ! train      step 61: gradNorm is not finite
      train      step 71/120 loss 0.356 (-1.3σ) val 0.632@40 lr 4.08e-5 norm 1.100 (-0.9σ) 11.9k tok/s 312.0 MB eta 49s
      train      saved step-80 (1.9 MB)
      train      step 81/120 loss 0.333 (-1.3σ) val 0.447@80 ▼ lr 3.25e-5 norm 1.400 (+0.6σ) 11.9k tok/s 312.0 MB eta 39s
      train      step 91/120 loss 0.314 (-1.2σ) val 0.447@80 ▼ lr 2.42e-5 norm 1.000 (-1.5σ) 11.9k tok/s 312.0 MB eta 29s
      train      step 101/120 loss 0.299 (-1.2σ) val 0.447@80 ▼ lr 1.58e-5 norm 1.300 (+0.1σ) 11.9k tok/s 312.0 MB eta 19s
      train      step 111/120 loss 0.285 (-1.2σ) val 0.447@80 ▼ lr 7.5e-6 norm 1.600 (+1.5σ) 11.9k tok/s 312.0 MB eta 9.0s
      train      saved step-120 (1.9 MB)
      train      step 120/120 loss 0.274 (-1.2σ) val 0.365@120 ▼ lr 0 norm 1.100 (-1.0σ) 11.9k tok/s 312.0 MB
    ✔ train      1m42s  loss 0.274  validationLoss 0.365  → model c419
    ● evaluate   started  why: train.model changed
      evaluate   row 64/64
    ✔ evaluate   4.0s  exactMatch 0.86
      register   registered support@3
      latest → support@3
    ✔ register   0.6s  support@3
    ✔ calm-ibis  3 run, 1 reused in 1m49s, saved 42s"
  `)
})

test("plain output of a run that fails ends with the error, what to try and where the whole log is", () => {
  expect(
    printed(failedJournal, (write) => plainReporter(plain, write))
      .slice(-10)
      .join("\n")
  ).toMatchInlineSnapshot(`
    "✔ train      1m42s  loss 0.274  validationLoss 0.365  → model c419
    ● evaluate   started  why: train.model changed
    ! evaluate   warning: one row has no reference
    ✘ evaluate   failed after 1.8s, see below
    ‖ register   skipped
    ✘ evaluate: no row has a reference
      at tokens.test
      why: the rows are of kind text
      try: use perplexity
      full log: anneal logs calm-ibis evaluate"
  `)
})

test("the last figures of a stage are printed before its end, whatever the spacing", () => {
  const lines = printed(doneJournal, (write) => plainReporter(plain, write))
  const end = lines.findIndex((line) => line.startsWith("✔ train"))
  expect(lines[end - 1]).toContain("step 120/120")
})

test("with every step asked for, each of the 100 steps has a line", () => {
  const lines = printed(doneJournal, (write) => plainReporter(plain, write, { everyStep: true }))
  for (let step = 21; step <= 120; step++) expect(lines.some((line) => line.includes(`step ${step}/120 `))).toBe(true)
})

test("the figures that a resumed stage tells again make no lines", () => {
  const at = doneJournal.findIndex((event) => event._tag === "Resumed")
  const resumed = doneJournal[at] as Extract<RunEvent, { _tag: "Resumed" }>
  const { v, time, run, stage } = resumed
  const again = [10, 20].map((step): RunEvent => ({
    v,
    seq: 0,
    time,
    run,
    stage,
    _tag: "Metrics",
    step,
    values: { loss: 9 },
    nonFinite: []
  }))
  const lines = printed(doneJournal.toSpliced(at + 1, 0, ...again), (write) => plainReporter(plain, write, { everyStep: true }))
  expect(lines.filter((line) => line.includes(" loss 9"))).toEqual([])
  expect(lines.some((line) => line.includes("step 21/120"))).toBe(true)
})

test("ascii output has no character above 126, coloured output only adds escape codes", () => {
  const inAscii = printed(doneJournal, (write) => plainReporter(makeTheme({ ascii: true, colour: false }), write)).join("\n")
  expect(inAscii).toMatch(/^[\n -~]*$/)
  const inColour = printed(doneJournal, (write) => plainReporter(makeTheme({ ascii: false, colour: true }), write))
  expect(inColour.some((line) => line.includes("\x1b[32m"))).toBe(true)
  // oxlint-disable-next-line no-control-regex
  const stripped = inColour.map((line) => line.replaceAll(/\x1b\[\d+m/g, ""))
  expect(stripped).toEqual(printed(doneJournal, (write) => plainReporter(plain, write)))
})

test("json output is the journal itself, a line an event", () => {
  const lines = printed(doneJournal, jsonReporter)
  expect(lines.map((line) => JSON.parse(line))).toEqual(doneJournal)
  expect(lines.every((line) => !line.includes("\n"))).toBe(true)
  expect(lines.find((line) => line.includes('"step":61'))).toContain('"gradNorm":null')
})

test("quiet output is empty for a run that is done, and holds the failure of one that is not", () => {
  expect(printed(doneJournal, (write) => quietReporter(plain, write))).toEqual([])
  expect(printed(failedJournal, (write) => quietReporter(plain, write))[0]).toBe("✘ evaluate: no row has a reference")
})
