// The gates of validate: one figure, one limit, met or not.
import type { Figures } from "./figures.ts"
import type { ValidateConfig } from "./stage.ts"

export interface Gate {
  readonly gate: string
  readonly value: number
  readonly limit: number
  readonly met: boolean
}

/** Every gate that the config declares; shares are of all rows. */
export const gatesOf = (figures: Figures, config: ValidateConfig): readonly Gate[] => {
  const share = (count: number) => (figures.rows === 0 ? 0 : count / figures.rows)
  const atMost = (gate: string, value: number, limit: number | undefined): readonly Gate[] =>
    limit === undefined ? [] : [{ gate, value, limit, met: value <= limit }]
  return [
    { gate: "minRows", value: figures.rows, limit: config.minRows, met: figures.rows >= config.minRows },
    ...atMost("maxEmptyShare", share(figures.empty.rows), config.maxEmptyShare),
    ...atMost("maxDuplicateShare", share(figures.duplicates), config.maxDuplicateShare),
    ...atMost("maxOutlierShare", share(figures.outliers), config.maxOutlierShare),
    ...atMost("maxImbalance", figures.imbalance ?? 1, config.maxImbalance)
  ]
}
