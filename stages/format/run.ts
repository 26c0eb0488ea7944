// Rows -> tokens for the base model: the prompt template, the tokenizer, the loss mask; every row that is left out is counted.
import { DataError, InterruptedError } from "#src/domain/Errors.ts"
import type { StageResult } from "#src/domain/Pipeline.ts"
import type { Row } from "#src/domain/rows.ts"
import type { StageContext } from "#src/domain/StageContext.ts"
import type { TokensMeta } from "#src/domain/Tokens.ts"
import { readRows } from "#src/store/rows.ts"
import { writeTokens } from "#src/store/tokens.ts"
import { type BaseText, loadBaseText } from "#src/text/base.ts"
import { endTokenIds } from "#src/text/encode.ts"
import { promptOptions } from "#src/text/prompt.ts"
import { textsOf } from "#src/text/rowContent.ts"
import { formatPart, type FormattedPart } from "./formatPart.ts"
import type { FormatConfig } from "./stage.ts"

const parts = ["train", "validation", "test"] as const

/** @throws DataError where tokenizer, template and rows do not fit together, or no row of a part has a trained token */
export const run = async (context: StageContext<FormatConfig>): Promise<StageResult> => {
  const { config, inputs } = context
  const base = await loadBaseText(inputs["base"]?.path as string)
  const train = await readRows(inputs["train"]?.path as string)
  const rowKind = train.kind
  if (config.onOverlong === "split" && rowKind !== "text") {
    throw new DataError({
      message: `onOverlong "split" is for text rows; these are ${rowKind} rows`,
      hint: 'set onOverlong: "drop" or "truncate"'
    })
  }
  const { template, systemPrompt, classInstruction, date } = config
  const options = promptOptions({ template, rowKind, systemPrompt, classInstruction, date }, base.tokenizer)
  const meta: TokensMeta = {
    promptFormat: options.format,
    maxLength: config.maxLength,
    trainOnPrompt: config.trainOnPrompt,
    vocabSize: base.vocabSize,
    eosTokenIds: endTokenIds(options, base.eosTokenIds),
    bosTokenId: base.tokenizer.bosTokenId,
    padTokenId: base.tokenizer.padTokenId,
    tokenizerDigest: base.tokenizer.digest
  }
  const done = []
  for (const part of parts) {
    const path = inputs[part]?.path
    if (path === undefined) continue
    const { kind, rows } = part === "train" ? train : await readRows(path)
    if (kind !== rowKind) throw new DataError({ message: `train has ${rowKind} rows, ${part} has ${kind} rows` })
    const formatted = await formatPart(part, rows, options, config, meta, (count) => {
      if (context.stopRequested()) throw new InterruptedError({ message: "stopped while formatting rows" })
      context.emit({ _tag: "Progress", done: count, total: rows.length, unit: `${part} rows` })
    })
    check(part, rows, formatted, config)
    for (const text of warnings(part, rows, formatted, config, base)) context.emit({ _tag: "Log", level: "warning", text })
    await writeTokens(context.output(part), formatted.table)
    done.push({ part, ...formatted })
  }
  return resultOf(done, config)
}

/** @throws DataError where overlong rows are an error, or nothing of the part can be trained */
const check = (part: string, rows: readonly Row[], { overlong, table }: FormattedPart, config: FormatConfig): void => {
  if (overlong.length > 0 && config.onOverlong === "error") {
    const longest = overlong.reduce((a, b) => (b.tokens > a.tokens ? b : a))
    throw new DataError({
      message: `${overlong.length} of ${rows.length} ${part} rows are longer than maxLength ${config.maxLength}`,
      where: `${part} row ${longest.id}`,
      why: `the longest has ${longest.tokens} tokens`,
      hint: `set maxLength: ${longest.tokens}, or onOverlong: "drop" or "truncate"`
    })
  }
  if (table.ids.length === 0 && (rows.length > 0 || part === "train")) {
    throw new DataError({
      message: `no row of ${part} has a trained token`,
      why:
        rows.length === 0
          ? "it has no rows"
          : `of its ${rows.length} rows, ${overlong.length} are longer than maxLength ${config.maxLength}`,
      hint: "raise maxLength, or look at the rows: an answer must fit behind its prompt"
    })
  }
}

const some = (ids: readonly string[]): string => ids.slice(0, 3).join(", ") + (ids.length > 3 ? " …" : "")

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")

const warnings = (
  part: string,
  rows: readonly Row[],
  formatted: FormattedPart,
  config: FormatConfig,
  base: BaseText
): readonly string[] => {
  const { overlong, untrained } = formatted
  const special = new RegExp([...base.tokenizer.specialTokens.keys()].map(escaped).join("|") || "(?!)")
  const marked = rows.filter((row) => textsOf(row).some(([, text]) => special.test(text))).map((row) => row.id)
  const done = { drop: "dropped", truncate: "truncated", split: "split", error: "refused" }[config.onOverlong]
  return [
    ...(overlong.length === 0
      ? []
      : [`${part}: ${done} ${overlong.length} rows longer than maxLength ${config.maxLength}: ${some(overlong.map((row) => row.id))}`]),
    ...(untrained.length === 0 ? [] : [`${part}: left out ${untrained.length} rows without a trained token: ${some(untrained)}`]),
    ...(marked.length === 0
      ? []
      : [`${part}: ${marked.length} rows hold the text of a special token, which becomes the token itself: ${some(marked)}`])
  ]
}

const resultOf = (done: readonly (FormattedPart & { readonly part: string })[], config: FormatConfig): StageResult => {
  const total = (count: (part: FormattedPart) => number) => done.reduce((sum, part) => sum + count(part), 0)
  const overlong = total((part) => part.overlong.length)
  const untrained = total((part) => part.untrained.length)
  const dropped = (config.onOverlong === "drop" ? overlong : 0) + untrained
  const truncated = config.onOverlong === "truncate" ? overlong : 0
  return {
    rows: Object.fromEntries(done.map(({ part, table }) => [part, table.ids.length])),
    metrics: {
      rows: total(({ table }) => table.ids.length),
      tokens: total(({ table }) => table.tokens.length),
      trainedTokens: total((part) => part.trainedTokens),
      dropped,
      truncated
    },
    summary: [
      ...done.map(
        ({ part, table, trainedTokens }) => `${part} ${table.ids.length} rows, ${table.tokens.length} tokens (${trainedTokens} trained)`
      ),
      ...(dropped > 0 ? [`${dropped} rows dropped`] : []),
      ...(truncated > 0 ? [`${truncated} rows truncated`] : []),
      ...(config.onOverlong === "split" && overlong > 0 ? [`${overlong} texts split`] : [])
    ].join("; ")
  }
}
