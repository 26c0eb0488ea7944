// The memory of a training that was not begun: its forecast beside its limit, and what to do where it does not fit.
import { DefinitionError, EnvironmentError } from "#src/domain/Errors.ts"
import type { Forecast } from "#src/runtime/Forecast.ts"
import { kindOf } from "../device.ts"
import { forecastOf, type Rows } from "./forecast.ts"
import { fittingSettings, type Limit, limitOf, type Setting } from "./memoryLimit.ts"
import { boundOf, type PlannedInputs, type StoredTokens, subjectOf } from "./planned.ts"
import { checkOptions } from "./preflight.ts"
import type { TrainConfig } from "./stage.ts"

/** What the figures are made from: the stored rows, counted, or the most tokens that a row may have. */
export type PlannedRows =
  | { readonly kind: "known"; readonly train: number; readonly validation: number }
  | { readonly kind: "bound"; readonly maxLength: number }

export interface PlannedMemory {
  readonly rows: PlannedRows
  readonly bytes: Forecast
  readonly limit: Limit
  readonly fits: boolean
  /** Where it does not fit: settings that would, at most three. */
  readonly settings: readonly Setting[]
}

/**
 * `tokens`: of the stage's inputs, where these are stored.
 * @throws EnvironmentError or DefinitionError where it cannot be told, and what the training itself would throw before its first step
 */
export const planMemory = async (config: TrainConfig, inputs: PlannedInputs, tokens: StoredTokens | undefined): Promise<PlannedMemory> => {
  checkOptions(config, inputs["validation"] !== undefined)
  const device = kindOf(config.device)
  if (device !== "cpu")
    throw new DefinitionError({
      message: `the memory of a training on ${device} is not forecast`,
      hint: 'set device: "cpu" to see what it takes there'
    })
  const base = inputs["base"]?.path
  if (base === undefined)
    throw new EnvironmentError({ message: "the base is not downloaded yet, so its shapes are not known", hint: "a run downloads it first" })
  const rows = tokens ?? boundOf(inputs)
  if (rows === undefined) {
    const producer = inputs["train"]?.producer?.id
    throw new DefinitionError({
      message: "how long a row may be is not known yet",
      why: `${producer} has not run with these settings, is no format stage and names no maxLength`,
      hint: `run it first: anneal run <pipeline> ${producer}`
    })
  }
  const subject = await subjectOf(config, base, rows)
  const forecast = forecastOf(config, subject)
  const limit = limitOf(config)
  const fits = forecast.total <= limit.bytes
  const settings = fits ? [] : fittingSettings(config, subject, limit.bytes, inputs["adapter"] !== undefined)
  return { rows: plannedRows(subject.rows), bytes: forecast, limit, fits, settings }
}

const plannedRows = (rows: Rows): PlannedRows =>
  rows.kind === "bound"
    ? { kind: "bound", maxLength: rows.maxLength }
    : { kind: "known", train: rows.train.lengths.length, validation: rows.validation?.lengths.length ?? 0 }
