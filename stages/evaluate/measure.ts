// One side of an evaluation: a model's losses and answers on the rows. The model and its baseline go through this alike.
import { exactMatch } from "#src/metrics/exactMatch.ts"
import { DataError } from "#src/domain/Errors.ts"
import { Generator } from "#src/runtime/Generator.ts"
import { type FindBase, openModel } from "#src/runtime/RunnableModel.ts"
import { type RowScores, scoreRows } from "#src/runtime/Scorer.ts"
import type { TokensTable } from "#src/store/tokens.ts"
import { loadTokenizer } from "#src/text/Tokenizer.ts"
import { deviceIdOf, kindOf } from "../device.ts"
import type { Question } from "./questions.ts"
import type { EvaluateConfig } from "./stage.ts"

export interface Job {
  readonly table: TokensTable
  readonly questions: readonly Question[]
  readonly config: EvaluateConfig
  readonly threads: number
  readonly findBase: FindBase
  /** Called with the rows done since the last call; what it throws ends the measurement. */
  readonly onRows: (count: number) => void
  /** Called often while generating; what it throws ends the measurement. */
  readonly heed: () => void
}

export interface Measured {
  /** Undefined where no metric needs it. */
  readonly scores: RowScores | undefined
  /** By question. */
  readonly answers: readonly string[]
  readonly matches: readonly boolean[]
}

export const needsScores = ({ metrics }: EvaluateConfig): boolean => metrics.some((metric) => metric !== "exactMatch")

/** Reads a model, measures it and lets go of it, so that two models never lie in memory together. @throws DataError */
export const measure = async (folder: string, job: Job): Promise<Measured> => {
  const { table, questions, config, threads } = job
  const runnable = await openModel(folder, job.findBase)
  const tokenizer = await loadTokenizer(runnable.textFolder)
  checkFit(table, runnable.model.vocabSize, tokenizer.digest, folder)
  const options = { batchSize: config.batchSize, threads, device: kindOf(config.device), deviceId: deviceIdOf(config.device) }
  const scores = needsScores(config) ? await scoreRows(runnable, table, { ...options, onRows: sinceLast(job.onRows) }) : undefined
  const generator = new Generator(runnable, options)
  try {
    const generated = await generator.generate(
      questions.map(({ ids }) => ids),
      { maxNewTokens: config.maxNewTokens, eosTokenIds: table.meta.eosTokenIds, onRows: sinceLast(job.onRows), onToken: job.heed }
    )
    const answers = generated.map(({ ids }) => tokenizer.decode(ids).trim())
    return { scores, answers, matches: answers.map((answer, i) => exactMatch(answer, (questions[i] as Question).reference)) }
  } finally {
    await generator.release()
  }
}

/** @throws DataError where the rows were not tokenized for this model */
const checkFit = ({ meta }: TokensTable, vocabSize: number, tokenizerDigest: string, folder: string): void => {
  const why =
    meta.vocabSize !== vocabSize
      ? `the tokens are of a vocabulary of ${meta.vocabSize}, the model's is ${vocabSize}`
      : meta.tokenizerDigest !== tokenizerDigest
        ? "its tokenizer files are not those that the tokens were made with"
        : undefined
  if (why === undefined) return
  throw new DataError({
    message: "the tokens were made for another model",
    where: folder,
    why,
    hint: "wire the same base into format, train and evaluate"
  })
}

/** Turns "so many are done" into "so many more are done". */
const sinceLast = (onRows: (count: number) => void): ((done: number) => void) => {
  let last = 0
  return (done) => {
    onRows(done - last)
    last = done
  }
}
