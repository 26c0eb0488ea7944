// The figures that a training reports while it runs: the curve from its log, speed and memory from the clock.
import { duration } from "#src/domain/duration.ts"
import type { StageEvent } from "#src/domain/RunEvent.ts"
import { ownMemory, type ProcessMemory, summed } from "./processMemory.ts"
import type { StepLog } from "./StepLog.ts"
import type { TrainState } from "./TrainState.ts"

type Emit = (event: StageEvent) => void

export interface FigureOptions {
  readonly loggingSteps: number
  readonly totalSteps: number
  readonly stepsPerEpoch: number
}

/** Whether figures are reported after so many steps. */
export const isReported = (steps: number, { loggingSteps, totalSteps }: FigureOptions): boolean =>
  steps % loggingSteps === 0 || steps === totalSteps

/** Figures after so many steps: the mean loss since those before, the rest of the last step. What is not finite is null. */
export const figuresAt = (log: StepLog, steps: number, { loggingSteps, stepsPerEpoch }: FigureOptions) => {
  const first = Math.floor((steps - 1) / loggingSteps) * loggingSteps
  const losses = log.column("loss", first, steps).filter(Number.isFinite)
  const finite = (x: number): number | null => (Number.isFinite(x) ? x : null)
  const values = {
    loss: finite(losses.reduce((sum, loss) => sum + loss, 0) / losses.length),
    gradNorm: finite(log.get(steps - 1, "gradNorm")),
    learningRate: log.get(steps - 1, "learningRate"),
    epoch: steps / stepsPerEpoch
  }
  return { values, nonFinite: (["loss", "gradNorm"] as const).filter((name) => values[name] === null) }
}

/** A resumed run's figures and alerts so far, so that its journal has the whole curve. */
export const tellHistory = ({ step, validations, alerts }: TrainState, log: StepLog, options: FigureOptions, emit: Emit): void => {
  emit({ _tag: "Resumed", checkpoint: `step-${step}`, step })
  const events: { readonly step: number; readonly event: StageEvent }[] = []
  for (let steps = 1; steps <= step; steps++)
    if (isReported(steps, options)) events.push({ step: steps, event: { _tag: "Metrics", step: steps, ...figuresAt(log, steps, options) } })
  for (const { step, loss } of validations)
    events.push({ step, event: { _tag: "Metrics", step, values: { validationLoss: loss }, nonFinite: [] } })
  for (const alert of alerts) events.push({ step: alert.step, event: { _tag: "Alert", ...alert } })
  for (const { event } of events.sort((a, b) => a.step - b.step)) emit(event)
}

/** Says how long the rest will take, by the second step of this process: the first one opens sessions. Validation comes on top. */
export const newPace = (totalSteps: number, emit: Emit): ((step: number) => void) => {
  let steps = 0
  let since = 0
  return (step) => {
    const now = performance.now()
    steps++
    if (steps === 2) {
      const each = now - since
      const rest = totalSteps - step
      const text = `forecast: ${duration(each)} per step, ${duration(each * rest)} for the other ${rest} steps`
      if (rest > 0) emit({ _tag: "Log", level: "info", text })
    }
    since = now
  }
}

const memoryInterval = 5000

/** Positions read per second since the last figures, and the memory of all processes every few seconds. */
export const newMeter = () => {
  let positions = 0
  let since = performance.now()
  let told = -Infinity
  return {
    memory: (emit: Emit, elsewhere?: ProcessMemory): void => {
      if (performance.now() - told < memoryInterval) return
      told = performance.now()
      emit({ _tag: "Device", ...summed([ownMemory(), ...(elsewhere === undefined ? [] : [elsewhere])]) })
    },
    read: (n: number): void => {
      positions += n
    },
    speed: (): number => {
      const now = performance.now()
      const speed = (positions / Math.max(1, now - since)) * 1000
      positions = 0
      since = now
      return speed
    }
  }
}
