// Learning rates of every step against transformers' schedulers.
import { existsSync, readFileSync } from "node:fs"
import { resolve } from "node:path"
import { describe, expect, test } from "vitest"
import { rateAt, warmupStepsOf } from "#src/graph/schedule.ts"

const file = resolve(import.meta.dirname, "../../../shared/parity/traces/schedulers.json")

interface Trace {
  readonly name: string
  readonly base_lr: number
  readonly warmup_steps: number
  readonly total_steps: number
  readonly kwargs: object
  readonly lr: readonly number[]
}

const kinds = { linear: "linear", cosine: "cosine", constant_with_warmup: "constant" } as const

test("cosine with warmup, ten steps of 1e-3", () => {
  const expected = [0, 5e-4, 1e-3, 9.619398e-4, 8.535534e-4, 6.913417e-4, 5e-4, 3.086583e-4, 1.464466e-4, 3.80602e-5, 0]
  expected.forEach((rate, step) =>
    expect(rateAt({ kind: "cosine", learningRate: 1e-3, warmupSteps: 2, totalSteps: 10 }, step)).toBeCloseTo(rate, 10)
  )
})

test("warmup steps: given, or a share of the run rounded up", () => {
  expect(warmupStepsOf(6, 0, 0.3)).toBe(2)
  expect(warmupStepsOf(6, 4, 0.3)).toBe(4)
  expect(warmupStepsOf(6, 0, 0)).toBe(0)
})

describe.skipIf(!existsSync(file))("transformers' traces (../shared/parity)", () => {
  const traces = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { schedules: readonly Trace[] }).schedules : []
  const ours = traces.filter(({ name, kwargs }) => name in kinds && Object.keys(kwargs).length === 0)

  test("all three schedules are there, with and without warmup", () => {
    expect(ours.length).toBe(6)
  })

  test.each(ours)("$name, warmup $warmup_steps", (trace) => {
    trace.lr.forEach((rate, step) => {
      const kind = kinds[trace.name as keyof typeof kinds]
      const got = rateAt({ kind, learningRate: trace.base_lr, warmupSteps: trace.warmup_steps, totalSteps: trace.total_steps }, step)
      // Past the end cosine rises again in both; rounding near its zero is absolute.
      expect(Math.abs(got - rate)).toBeLessThanOrEqual(1e-12 * rate + 1e-18)
    })
  })
})
