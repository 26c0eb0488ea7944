// Counts, gates, and passes the rows on byte by byte.
import { GateError } from "#src/domain/Errors.ts"
import type { StageResult } from "#src/domain/Pipeline.ts"
import type { StageContext } from "#src/domain/StageContext.ts"
import { copyRows, readRows } from "#src/store/rows.ts"
import { writeJson } from "#src/store/textFile.ts"
import { type Figures, figuresOf } from "./figures.ts"
import { type Gate, gatesOf } from "./gates.ts"
import type { ValidateConfig } from "./stage.ts"

const short = (value: number): string => String(Number(value.toFixed(3)))

const summaryOf = (figures: Figures): string =>
  [
    `${figures.rows} rows`,
    `${figures.empty.rows} with an empty field`,
    `${figures.duplicates} duplicates`,
    `${figures.outliers} length outliers`,
    `words mean ${short(figures.words.mean)}, median ${short(figures.words.median)}, max ${figures.words.max}`,
    ...(figures.imbalance === undefined
      ? []
      : [`${Object.keys(figures.classes ?? {}).length} classes, imbalance ${short(figures.imbalance)}`])
  ].join(", ")

const failed = ({ gate, value, limit }: Gate): string =>
  `${gate}: ${short(value)} is ${gate.startsWith("min") ? "below" : "above"} the limit ${short(limit)}`

/** @throws GateError where a declared gate is not met */
export const run = async (context: StageContext<ValidateConfig>): Promise<StageResult> => {
  const { config, inputs } = context
  const path = inputs["rows"]?.path as string
  const { kind, rows } = await readRows(path)
  const figures = figuresOf(kind, rows, config.outlierFactor)
  const gates = gatesOf(figures, config)
  const summary = summaryOf(figures)
  const unmet = gates.filter((gate) => !gate.met)
  if (unmet.length > 0) {
    throw new GateError({
      message: `the rows do not pass ${unmet.map(failed).join("; ")}`,
      why: summary,
      hint: "correct the rows, or change the gate in the pipeline file"
    })
  }
  await copyRows(path, context.output("rows"))
  await writeJson(context.output("report"), { ...figures, gates })
  return {
    rows: { rows: rows.length },
    metrics: {
      rows: figures.rows,
      emptyRows: figures.empty.rows,
      duplicates: figures.duplicates,
      outliers: figures.outliers,
      meanWords: figures.words.mean,
      ...(figures.imbalance === undefined ? {} : { imbalance: figures.imbalance })
    },
    summary
  }
}
