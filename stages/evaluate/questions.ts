// What evaluate asks a model to generate: which rows, from which prompt, and what the answer is compared with.
import { DefinitionError } from "#src/domain/Errors.ts"
import type { TokensTable } from "#src/store/tokens.ts"
import type { Tokenizer } from "#src/text/Tokenizer.ts"
import type { EvaluateConfig } from "./stage.ts"

export interface Question {
  readonly row: number
  readonly ids: readonly number[]
  /** The prompt as people read it. */
  readonly prompt: string
  readonly reference: string
}

export interface Questions {
  readonly all: readonly Question[]
  /** Indexes into `all` of those kept as samples; all of them count for exact match where that is asked. */
  readonly sampled: readonly number[]
}

/**
 * exactMatch asks the first `maxRows` rows; samples are spread evenly over these, or over all rows where nothing else is asked.
 * @throws DefinitionError where the rows have no reference answers
 */
export const questionsOf = (
  table: TokensTable,
  tokenizer: Tokenizer,
  { metrics, maxRows, samples }: EvaluateConfig,
  stage: string
): Questions => {
  const { rowKind } = table.meta.promptFormat
  const matching = metrics.includes("exactMatch")
  if (matching && rowKind === "text") {
    throw new DefinitionError({
      message: "exactMatch needs a reference answer in each row; text rows have none",
      where: `${stage}.metrics`,
      hint: 'leave exactMatch out, e.g. metrics: ["perplexity", "tokenAccuracy"]'
    })
  }
  const answerable = table.ids.flatMap((_, row) => (isAnswerable(table, row) ? [row] : []))
  const rows = matching ? answerable.slice(0, maxRows ?? answerable.length) : answerable
  const sampled = spread(rows, samples)
  const asked = matching ? rows : sampled
  return {
    all: asked.map((row) => questionOf(table, tokenizer, row)),
    sampled: sampled.map((row) => asked.indexOf(row))
  }
}

const lengthOf = ({ offsets }: TokensTable, row: number): number => (offsets[row + 1] as number) - (offsets[row] as number)

/** Tokens of the prompt. A text row has no answer: its first half is the prompt, the rest what really follows. */
const promptTokens = (table: TokensTable, row: number): number =>
  table.meta.promptFormat.rowKind === "text" ? Math.floor(lengthOf(table, row) / 2) : (table.promptLength[row] as number)

/** Something to read and something to answer: a row that was cut off inside its prompt asks nothing whole. */
const isAnswerable = (table: TokensTable, row: number): boolean => {
  const prompt = promptTokens(table, row)
  return prompt > 0 && prompt < lengthOf(table, row)
}

const spread = (rows: readonly number[], count: number): readonly number[] => {
  const n = Math.min(count, rows.length)
  return Array.from({ length: n }, (_, i) => rows[Math.floor((i * rows.length) / n)] as number)
}

const questionOf = (table: TokensTable, tokenizer: Tokenizer, row: number): Question => {
  const start = table.offsets[row] as number
  const tokens = [...table.tokens.subarray(start, start + lengthOf(table, row))]
  const { rowKind, template } = table.meta.promptFormat
  const ids = tokens.slice(0, promptTokens(table, row))
  const text = tokenizer.decode(ids)
  return {
    row,
    ids,
    prompt: (template === "alpaca" ? withoutAlpaca(text) : text).trim(),
    reference: rowKind === "text" ? tokenizer.decode(tokens.slice(ids.length)).trim() : (table.reference[row] as string)
  }
}

/** The instruction and input of an Alpaca prompt: its fixed sentences would be all that a line of a table shows. */
const withoutAlpaca = (text: string): string => text.replace(/^[^]*?### Instruction:\n/, "").replace(/\n\n### Response:$/, "")
