// `anneal generate <model> --prompt ...`: continues a prompt as the model was trained to, token by token on stdout.
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { UsageError } from "#src/domain/Errors.ts"
import type { PromptFormat } from "#src/domain/Tokens.ts"
import { harmless } from "#src/report/format.ts"
import type { Sampling } from "#src/runtime/sampling.ts"
import { handler } from "./command.ts"
import { openWorkspace } from "./context.ts"
import * as flags from "./flags.ts"
import { baseFinder, baseFlag, findModelFolder } from "./modelFolder.ts"
import { printJson } from "./output.ts"

/** How a folder that anneal did not train is prompted: with the text as it is. */
const asIs: PromptFormat = { template: "plain", rowKind: "text", systemPrompt: "", classInstruction: "", date: "1970-01-01" }

const number = <A extends number>(flag: Flag.Flag<A>, text: string) => flags.maybe(flag.pipe(Flag.withDescription(text)))

const generateFlags = {
  model: Argument.String("model").pipe(Argument.withDescription("name, name@version, name@alias, or a model folder")),
  prompt: Flag.String("prompt").pipe(Flag.withAlias("p"), Flag.withDescription("what the model is asked, in the template of its training")),
  input: flags.maybe(
    Flag.String("input").pipe(Flag.withDescription("what an instruction is about: the input field of the rows that it was trained on"))
  ),
  maxNewTokens: Flag.Int("max-new-tokens").pipe(Flag.withDescription("longest answer"), Flag.withDefault(128)),
  temperature: number(Flag.Finite("temperature"), "sample; below 1 makes likely tokens likelier"),
  topK: number(Flag.Int("top-k"), "sample from the so many likeliest tokens"),
  topP: number(Flag.Finite("top-p"), "sample from the likeliest tokens that together reach this probability"),
  seed: number(Flag.Int("seed"), "sample with this seed; default 0"),
  base: baseFlag,
  threads: number(Flag.Int("threads"), "threads of the computation; default one a core"),
  json: flags.json,
  artifacts: flags.artifacts
}

interface Numbers {
  readonly temperature: number | undefined
  readonly topK: number | undefined
  readonly topP: number | undefined
  readonly seed: number | undefined
}

/** Greedy unless one of the sampling flags is given. @throws UsageError for a value out of range */
const samplingOf = ({ temperature, topK, topP, seed }: Numbers): Sampling | undefined => {
  const refuse = (flag: string, value: number, range: string): never => {
    throw new UsageError({ message: `--${flag} ${value} is out of range`, hint: `give a value ${range}` })
  }
  if (temperature !== undefined && temperature <= 0) refuse("temperature", temperature, "above 0, or leave it out for the likeliest tokens")
  if (topK !== undefined && topK < 1) refuse("top-k", topK, "of 1 or more")
  if (topP !== undefined && (topP <= 0 || topP > 1)) refuse("top-p", topP, "above 0, at most 1")
  if (seed !== undefined && (seed < 0 || seed > 0xffff_ffff)) refuse("seed", seed, "from 0 to 4294967295")
  const given = [temperature, topK, topP, seed].some((value) => value !== undefined)
  return given ? { temperature, topK, topP, seed: seed ?? 0 } : undefined
}

export const generateCommand = Command.make(
  "generate",
  generateFlags,
  handler(async (input) => {
    const sampling = samplingOf(input)
    if (input.maxNewTokens < 1)
      throw new UsageError({ message: `--max-new-tokens ${input.maxNewTokens} is not 1 or more`, hint: "leave it out for 128" })
    const workspace = openWorkspace(input.artifacts)
    const { title, folder } = await findModelFolder(workspace, input.model)
    const [{ openModel }, { Generator }, { textStream }, { loadBaseText }, { promptFields, promptOptions }, { encodePrompt, endTokenIds }] =
      await Promise.all([
        import("#src/runtime/RunnableModel.ts"),
        import("#src/runtime/Generator.ts"),
        import("#src/runtime/TextStream.ts"),
        import("#src/text/base.ts"),
        import("#src/text/prompt.ts"),
        import("#src/text/encode.ts")
      ])
    const runnable = await openModel(folder, baseFinder(workspace, input.base))
    const text = await loadBaseText(runnable.textFolder)
    const format = runnable.info?.tokens.promptFormat ?? asIs
    if (input.input !== undefined && format.rowKind !== "instruction")
      throw new UsageError({
        message: `--input goes with a model that was trained on instruction rows, ${title} ${runnable.info === undefined ? "takes its prompt as it is" : `was trained on ${format.rowKind} rows`}`,
        hint: "write all of it into --prompt"
      })
    const options = promptOptions(format, text.tokenizer)
    const prompt = encodePrompt(promptFields(format.rowKind, input.prompt, input.input), options)
    // Answers are tokenized by themselves, so they are decoded so too; only plain text goes on where the prompt ends.
    const stream = textStream((ids) => text.tokenizer.decode(ids), format.rowKind === "text" ? prompt : [])
    let answer = ""
    const show = (piece: string): void => {
      answer += piece
      if (!input.json) process.stdout.write(process.stdout.isTTY ? harmless(piece) : piece)
    }
    const generator = new Generator(runnable, { batchSize: 1, threads: input.threads ?? 0 })
    const [generated] = await generator.generate([prompt], {
      maxNewTokens: input.maxNewTokens,
      eosTokenIds: runnable.info?.tokens.eosTokenIds ?? endTokenIds(options, text.eosTokenIds),
      ...(sampling === undefined ? {} : { sampling }),
      onToken: (_, id) => show(stream.push(id))
    })
    show(stream.end())
    await generator.release()
    if (!input.json) return void process.stdout.write("\n")
    const asked = { prompt: input.prompt, ...(input.input === undefined ? {} : { input: input.input }) }
    printJson({ model: title, ...asked, text: answer, tokens: generated?.ids.length, finish: generated?.finish })
  })
).pipe(
  Command.withDescription("Ask a model: greedy, or sampled with the flags below."),
  Command.withExamples([
    { command: 'anneal generate support --prompt "Where is my order?"', description: "the latest version, greedy" },
    { command: 'anneal generate support@3 --prompt "Hello" --temperature 0.8 --top-p 0.95 --seed 1', description: "sampled" },
    { command: 'anneal generate peft/my-adapter --base models/base --prompt "Hello"', description: "an adapter made by PEFT" }
  ])
)
