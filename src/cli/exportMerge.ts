// `anneal export merge <name> <folder>`: an adapter worked into its base, as a whole model in the type of one's choice, with a measure
// of what the rounding changes.
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { DataError, UsageError } from "#src/domain/Errors.ts"
import type { Weights } from "#src/models/Model.ts"
import type { SavedDType } from "#src/models/save.ts"
import { number } from "#src/report/format.ts"
import type { ProbeDifference } from "#src/runtime/probe.ts"
import { handler } from "./command.ts"
import { openWorkspace } from "./context.ts"
import * as flags from "./flags.ts"
import { writeFolder } from "./freshFolder.ts"
import { baseFinder, baseFlag, findModelFolder } from "./modelFolder.ts"
import { note, print, printJson } from "./output.ts"

const dtypes = { fp32: "float32", fp16: "float16", bf16: "bfloat16" } as const satisfies Readonly<Record<string, SavedDType>>

/** The first value that becomes infinite when it is rounded. */
const limits: Readonly<Record<SavedDType, number>> = { float32: Infinity, float16: 65520, bfloat16: 2 ** 128 - 2 ** 119 }

/** How a base says that it is stored. */
const ownDType = (json: Readonly<Record<string, unknown>>): SavedDType => {
  const named = json["dtype"] ?? json["torch_dtype"]
  return Object.values(dtypes).find((dtype) => dtype === named) ?? "float32"
}

interface Watched extends Pick<Weights, "read"> {
  /** Tensors read so far that hold a value which is not finite in this type. */
  readonly broken: string[]
}

/** @param safe refuse instead of noting */
const watched = (weights: Weights, dtype: SavedDType, safe: boolean): Watched => {
  const broken: string[] = []
  const read = (name: string): Float32Array => {
    const values = weights.read(name)
    const at = values.findIndex((x) => !(Math.abs(x) < limits[dtype]))
    if (at < 0) return values
    if (safe) {
      throw new DataError({
        message: `${name} has the value ${values[at]} after merging, which is not finite in ${dtype}`,
        why: "the adapter has diverged, or the type's range is too small",
        hint: dtype === "float16" ? "merge with --dtype bf16 or fp32" : "look at the adapter's training"
      })
    }
    broken.push(name)
    return values
  }
  return { broken, read }
}

interface Merged extends ProbeDifference {
  readonly dtype: SavedDType
  readonly broken: readonly string[]
}

const shown = ({ largest, tokens, sameChoice, dtype }: Merged): string =>
  `${dtype}; on a probe of ${tokens} tokens the logits differ from the adapter's by up to ${number(largest)}, the likeliest token is the same at ${sameChoice}`

export const mergeCommand = Command.make(
  "merge",
  {
    name: Argument.String("name").pipe(Argument.withDescription("name, name@version, name@alias, or an adapter folder")),
    folder: Argument.String("folder").pipe(Argument.withDescription("a new or empty folder")),
    dtype: flags.maybe(
      Flag.Literals("dtype", ["fp32", "fp16", "bf16"]).pipe(Flag.withDescription("type of the written weights; default: as the base says"))
    ),
    safe: Flag.Boolean("safe").pipe(Flag.withDescription("refuse a result with a value that is not finite"), Flag.withDefault(false)),
    base: baseFlag,
    baseValues: flags.maybe(
      Flag.Literals("base-values", ["trained", "original"]).pipe(
        Flag.withDescription("of a base that was held in 4 bits: the values trained over (default), or its own before they were quantised")
      )
    ),
    threads: flags.maybe(Flag.Int("threads").pipe(Flag.withDescription("threads of the probe; default one a core"))),
    json: flags.json,
    artifacts: flags.artifacts
  },
  handler(async (input) => {
    const workspace = openWorkspace(input.artifacts)
    const { title, folder } = await findModelFolder(workspace, input.name)
    const [{ openMerged, openModel }, { saveModel }, { completeModelFolder, copyTextFiles, isAdapterFolder }, probe] = await Promise.all([
      import("#src/runtime/RunnableModel.ts"),
      import("#src/models/save.ts"),
      import("#src/runtime/ModelFolder.ts"),
      import("#src/runtime/probe.ts")
    ])
    if (!isAdapterFolder(folder))
      throw new UsageError({
        message: `${title} is a whole model: there is nothing to merge`,
        hint: "give an adapter, or use: anneal export model"
      })
    const findBase = baseFinder(workspace, input.base)
    const threads = input.threads ?? 0
    const { model, weights, textFolder, info } = await openMerged(folder, findBase, input.baseValues)
    if (input.baseValues !== undefined && info?.quantization === undefined)
      throw new UsageError({ message: `--base-values: ${title} was not trained over 4-bit values`, hint: "leave --base-values out" })
    const { target, result } = await writeFolder(input.folder, async (aside): Promise<Merged> => {
      const dtype = input.dtype === undefined ? ownDType(model.configJson) : dtypes[input.dtype]
      const source = watched(weights, dtype, input.safe)
      await saveModel(aside, model, source, dtype)
      await (info === undefined ? copyTextFiles(aside, textFolder) : completeModelFolder(aside, textFolder, { ...info, method: "full" }))
      // One after the other, so that two models never lie in memory together.
      const adapted = await probe.probeLogits(await openModel(folder, findBase, { merged: false }), threads)
      const merged = await probe.probeLogits(await openModel(aside, findBase), threads)
      return { dtype, broken: source.broken, ...probe.probeDifference(adapted, merged, model.vocabSize) }
    })
    if (result.broken.length > 0)
      note(`warning: ${result.broken.length} tensors hold values that are not finite, the first is ${result.broken[0]}`)
    if (input.json) return printJson({ model: title, folder: target, ...result })
    note(`merged ${title} into its base as ${shown(result)}`)
    print(target)
  })
).pipe(
  Command.withDescription("An adapter worked into its base: a whole model that needs neither PEFT nor the base."),
  Command.withExamples([
    { command: "anneal export merge support exported/merged --dtype bf16 --safe", description: "of a registered model" },
    { command: "anneal export merge peft/my-adapter merged --base models/base", description: "of an adapter made by PEFT" }
  ])
)
