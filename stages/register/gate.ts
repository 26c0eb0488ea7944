// The gate of register: which requirements a model's scores do not meet.
import { DefinitionError } from "#src/domain/Errors.ts"
import type { Score, Scores } from "#src/domain/Scores.ts"
import { number } from "#src/report/format.ts"
import type { RegisterConfig } from "./stage.ts"

type Requirement = RegisterConfig["requires"][string]

/**
 * One line with the figures for each requirement that is not met. A figure that is not finite meets none.
 * @throws DefinitionError where a metric is required that was not measured
 */
export const unmetRequirements = (requires: RegisterConfig["requires"], scores: Scores, stage: string): readonly string[] =>
  Object.entries(requires).flatMap(([name, requirement]) => {
    const score = scores.metrics[name]
    if (score === undefined) {
      throw new DefinitionError({
        message: `requires "${name}", which was not measured`,
        where: `${stage}.requires`,
        why: `measured: ${Object.keys(scores.metrics).join(", ")}`,
        hint: `add "${name}" to the metrics of evaluate, or correct the name`
      })
    }
    return failures(score, requirement).map((text) => `${name} ${text}`)
  })

const failures = ({ model, baseline, better }: Score, requirement: Requirement): readonly string[] => {
  if (requirement === "better than baseline") {
    const isBetter = model !== null && baseline !== null && (better === "lower" ? model < baseline : model > baseline)
    return isBetter ? [] : [`${number(model)} is not ${better} than the baseline's ${number(baseline)}`]
  }
  const { min, max } = requirement
  return [
    ...(min === undefined || (model !== null && model >= min) ? [] : [`${number(model)} is below ${number(min)}`]),
    ...(max === undefined || (model !== null && model <= max) ? [] : [`${number(model)} is above ${number(max)}`])
  ]
}
