// Learning rates of every step against transformers' schedulers.
import { existsSync, readFileSync } from "node:fs"
import { resolve } from "node:path"
import { describe, expect, test } from "vitest"
import { rateAt, type Schedule, type ScheduleKind, scheduleKinds, warmupStepsOf } from "#src/graph/schedule.ts"

const file = resolve(import.meta.dirname, "../../../shared/parity/traces/schedulers.json")

interface Trace {
  readonly name: string
  readonly base_lr: number
  readonly warmup_steps: number
  readonly total_steps: number
  readonly kwargs: Readonly<Record<string, number | string>>
  readonly lr: readonly number[]
}

test("cosine with warmup, ten steps of 1e-3", () => {
  const expected = [0, 5e-4, 1e-3, 9.619398e-4, 8.535534e-4, 6.913417e-4, 5e-4, 3.086583e-4, 1.464466e-4, 3.80602e-5, 0]
  expected.forEach((rate, step) =>
    expect(rateAt({ kind: "cosine", learningRate: 1e-3, warmupSteps: 2, totalSteps: 10 }, step)).toBeCloseTo(rate, 10)
  )
})

test("warmup steps: given, or a share of the run rounded up", () => {
  expect(warmupStepsOf(6, { warmupRatio: 0.3 })).toBe(2)
  expect(warmupStepsOf(6, { warmupSteps: 4 })).toBe(4)
  expect(warmupStepsOf(6, {})).toBe(0)
})

test("stable steps that are given leave the rest of the run at the lowest rate", () => {
  const schedule: Schedule = {
    kind: "warmupStableDecay",
    learningRate: 1,
    warmupSteps: 1,
    totalSteps: 9,
    stableSteps: 2,
    decaySteps: 2,
    decayType: "linear",
    minLrRatio: 0.25
  }
  expect(Array.from({ length: 9 }, (_, step) => rateAt(schedule, step))).toEqual([0.25, 1, 1, 1, 0.625, 0.25, 0.25, 0.25, 0.25])
})

describe.skipIf(!existsSync(file))("transformers' traces (../shared/parity), two steps past the end", () => {
  const traces = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { schedules: readonly Trace[] }).schedules : []
  const camelCase = (name: string): string => name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
  const names: Readonly<Record<string, string>> = { numDecaySteps: "decaySteps", numStableSteps: "stableSteps" }
  const optionsOf = ({ kwargs }: Trace) =>
    Object.fromEntries(Object.entries(kwargs).map(([k, v]) => [names[camelCase(k)] ?? camelCase(k), v]))

  test("every schedule is there", () => {
    expect(new Set(traces.map(({ name }) => camelCase(name)))).toEqual(new Set(scheduleKinds))
  })

  test.each(traces)("$name, warmup $warmup_steps, $kwargs", (trace) => {
    const kind = camelCase(trace.name) as ScheduleKind
    const schedule = {
      kind,
      learningRate: trace.base_lr,
      warmupSteps: trace.warmup_steps,
      totalSteps: trace.total_steps,
      ...optionsOf(trace)
    }
    expect(trace.lr.length).toBe(trace.total_steps + 2)
    // Rounding near a cosine's zero is absolute.
    trace.lr.forEach((rate, step) => expect(Math.abs(rateAt(schedule, step) - rate)).toBeLessThanOrEqual(1e-12 * rate + 1e-18))
  })
})
