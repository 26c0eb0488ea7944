// The evaluate stage: the model and the untouched base on the same rows by the same code, and what both answer to a few of them.
import { rowSizes } from "#src/batching/rows.ts"
import { DataError, InterruptedError } from "#src/domain/Errors.ts"
import type { StageResult } from "#src/domain/Pipeline.ts"
import type { Score, Scores } from "#src/domain/Scores.ts"
import type { InputArtifact, StageContext } from "#src/domain/StageContext.ts"
import { type FigureName, sum } from "#src/metrics/figures.ts"
import { number } from "#src/report/format.ts"
import { requireDevice } from "#src/runtime/Device.ts"
import type { FindBase } from "#src/runtime/RunnableModel.ts"
import { writeJson } from "#src/store/textFile.ts"
import { readTokens, type TokensTable } from "#src/store/tokens.ts"
import { loadTokenizer, type Tokenizer } from "#src/text/Tokenizer.ts"
import { kindOf } from "../device.ts"
import { scoreOf } from "./figures.ts"
import { type Job, measure, needsScores } from "./measure.ts"
import { type Question, questionsOf } from "./questions.ts"
import type { EvaluateConfig } from "./stage.ts"

/** @throws DataError, DefinitionError; InterruptedError where it is stopped (nothing is kept: it begins anew) */
export const run = async (context: StageContext<EvaluateConfig>): Promise<StageResult> => {
  const { config, stage } = context
  await requireDevice(kindOf(config.device), `${stage}.device`)
  const inputs = context.inputs as Readonly<Record<"model" | "tokens" | "baseline", InputArtifact>>
  const table = await readTokens(inputs.tokens.path)
  const { targets } = rowSizes(table)
  const tokens = sum(targets)
  if (tokens === 0) {
    throw new DataError({
      message: "no row has a trained token, so there is nothing to score",
      where: `${stage}: ${table.ids.length} rows of tokens`,
      hint: "check the split's sizes and format's maxLength"
    })
  }
  const tokenizer = await loadTokenizer(inputs.baseline.path)
  const questions = questionsOf(table, tokenizer, config, stage)
  const scored = needsScores(config) ? targets.filter((count) => count > 0).length : 0
  const job: Job = {
    table,
    questions: questions.all,
    config,
    threads: context.threads,
    findBase: findBaseline(inputs.baseline),
    ...progress(context, 2 * (scored + questions.all.length))
  }
  const model = await measure(inputs.model.path, job)
  const baseline = await measure(inputs.baseline.path, job)

  const bytes = bytesOf(table, tokenizer)
  const names: readonly FigureName[] = [...new Set(config.metrics)].flatMap((name): readonly FigureName[] =>
    name === "perplexity" && bytes !== undefined ? [name, "bitsPerByte"] : [name]
  )
  const idOf = (row: number): string => table.ids[row] as string
  const rows = { ids: table.ids, asked: questions.all.map(({ row }) => idOf(row)), bytes: bytes ?? [] }
  const metrics = Object.fromEntries(names.map((name) => [name, scoreOf(name, { model, baseline }, rows)]))
  const samples = questions.sampled.map((i) => {
    const { row, prompt, reference } = questions.all[i] as Question
    const [before, after] = [baseline.answers[i] as string, model.answers[i] as string]
    return { id: idOf(row), prompt, reference, baseline: before, model: after }
  })
  await writeJson(context.output("scores"), { metrics, rows: table.ids.length, tokens, samples } satisfies Scores)
  return { metrics: flat(metrics), summary: summaryOf(metrics) }
}

/** Progress in rows over all passes of both models; both functions throw where the run is being stopped. */
const progress = ({ emit, stopRequested, stage }: StageContext, total: number): Pick<Job, "onRows" | "heed"> => {
  let done = 0
  const heed = (): void => {
    if (stopRequested()) throw new InterruptedError({ message: `stopped after ${done} of ${total} rows`, where: stage })
  }
  const onRows = (count: number): void => {
    done += count
    emit({ _tag: "Progress", done, total, unit: "rows" })
    heed()
  }
  return { onRows, heed }
}

/** An adapter is measured against its own base, which is at hand: nothing has to be looked for. */
const findBaseline =
  (baseline: InputArtifact): FindBase =>
  async (base) => {
    // An adapter that came without anneal.json is taken to be over the baseline; its tensors must fit.
    if (base === undefined || base.digest === baseline.digest) return baseline.path
    throw new DataError({
      message: "the adapter was trained over another base than the baseline",
      where: baseline.path,
      why: `trained over ${base.path} (${base.digest}), the baseline is ${baseline.digest}`,
      hint: "wire the same baseModel(…) into train and evaluate"
    })
  }

/** Bytes of each row's predicted text, of text rows only: elsewhere a part of the text is not scored. */
const bytesOf = ({ meta, offsets, tokens, ids }: TokensTable, tokenizer: Tokenizer): Float64Array | undefined => {
  if (meta.promptFormat.rowKind !== "text") return undefined
  return Float64Array.from(ids, (_, row) => {
    const [start, end] = [offsets[row] as number, offsets[row + 1] as number]
    const bytes = (to: number): number => Buffer.byteLength(tokenizer.decode(tokens.subarray(start, to)))
    // The first token is never predicted: a begin-of-sequence token has no text, another one has.
    return bytes(end) - bytes(start + 1)
  })
}

const flat = (metrics: Readonly<Record<string, Score>>): Readonly<Record<string, number | null>> =>
  Object.fromEntries(
    Object.entries(metrics).flatMap(([name, { model, baseline }]) => [
      [name, model],
      [`baseline.${name}`, baseline]
    ])
  )

const summaryOf = (metrics: Readonly<Record<string, Score>>): string =>
  Object.entries(metrics)
    .map(([name, { model, baseline }]) => `${name} ${number(model)} (base ${number(baseline)})`)
    .join(", ")
