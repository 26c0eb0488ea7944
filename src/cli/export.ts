// `anneal export`: `model <name> <folder>` here, a registered model as a folder that other tools load: Hugging Face or PEFT layout.
import { cpSync } from "node:fs"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { UsageError } from "#src/domain/Errors.ts"
import type { FindBase } from "#src/runtime/RunnableModel.ts"
import { handler } from "./command.ts"
import { openWorkspace } from "./context.ts"
import { mergeCommand } from "./exportMerge.ts"
import * as flags from "./flags.ts"
import { writeFolder } from "./freshFolder.ts"
import { baseFinder, baseFlag, findModelFolder } from "./modelFolder.ts"
import { note, print } from "./output.ts"

/** The adapter worked into its base: a whole model. */
const merge = async (folder: string, findBase: FindBase, target: string): Promise<void> => {
  const [{ openMerged }, { saveModel }, { completeModelFolder, copyTextFiles }] = await Promise.all([
    import("#src/runtime/RunnableModel.ts"),
    import("#src/models/save.ts"),
    import("#src/runtime/ModelFolder.ts")
  ])
  const { model, weights, textFolder, info } = await openMerged(folder, findBase)
  await saveModel(target, model, weights)
  await (info === undefined ? copyTextFiles(target, textFolder) : completeModelFolder(target, textFolder, { ...info, method: "full" }))
}

const write = async (folder: string, findBase: FindBase, target: string, format: "hf" | "peft" | undefined): Promise<string> => {
  const { isAdapterFolder } = await import("#src/runtime/ModelFolder.ts")
  const isAdapter = isAdapterFolder(folder)
  const chosen = format ?? (isAdapter ? "peft" : "hf")
  if (chosen === "peft" && !isAdapter) {
    throw new UsageError({ message: "this model is a whole one, not an adapter", hint: "leave --format out, or give --format hf" })
  }
  if (chosen === "hf" && isAdapter) await merge(folder, findBase, target)
  else cpSync(folder, target, { recursive: true })
  return chosen
}

const exportModel = Command.make(
  "model",
  {
    name: Argument.String("name").pipe(Argument.withDescription("name, name@version, name@alias, or a model folder")),
    folder: Argument.String("folder").pipe(Argument.withDescription("a new or empty folder")),
    format: flags.maybe(
      Flag.Literals("format", ["hf", "peft"]).pipe(
        Flag.withDescription("hf: a whole model (an adapter is merged); peft: the adapter. Default: as it was trained")
      )
    ),
    base: baseFlag,
    artifacts: flags.artifacts
  },
  handler(async (input) => {
    const workspace = openWorkspace(input.artifacts)
    const { title, folder } = await findModelFolder(workspace, input.name)
    const { target, result } = await writeFolder(input.folder, (aside) =>
      write(folder, baseFinder(workspace, input.base), aside, input.format)
    )
    note(`exported ${title} in ${result === "hf" ? "Hugging Face" : "PEFT"} layout`)
    print(target)
  })
).pipe(
  Command.withDescription("A model as a folder that transformers or PEFT loads."),
  Command.withExamples([
    { command: "anneal export model support exported/support", description: "as it was trained" },
    { command: "anneal export model support@3 exported/merged --format hf", description: "an adapter merged into its base" }
  ])
)

export const exportCommand = Command.make("export").pipe(
  Command.withDescription("Take results out of the store in other tools' formats."),
  Command.withExamples([
    { command: "anneal export model support exported/support", description: "a registered model" },
    { command: "anneal export merge support exported/merged --dtype bf16", description: "an adapter worked into its base" }
  ]),
  Command.withSubcommands([exportModel, mergeCommand])
)
