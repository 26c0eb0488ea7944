// `anneal export model <name> <folder>`: a registered model as a folder that other tools load: Hugging Face or PEFT layout.
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs"
import { dirname, resolve } from "node:path"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { UsageError } from "#src/domain/Errors.ts"
import type { ModelInfo } from "#src/domain/ModelInfo.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"
import { handler } from "./command.ts"
import { openWorkspace } from "./context.ts"
import * as flags from "./flags.ts"
import { baseFinder, findModelFolder } from "./modelFolder.ts"
import { note, print } from "./output.ts"

const refuseTaken = (target: string): void => {
  if (!existsSync(target) || readdirSync(target).length === 0) return
  throw new UsageError({ message: `${target} is not empty`, why: "export overwrites nothing", hint: "give a new folder" })
}

/** The adapter worked into its base: a whole model. */
const merge = async (workspace: WorkspacePaths, folder: string, info: ModelInfo, target: string): Promise<void> => {
  const [{ openMerged }, { saveModel }, { completeModelFolder }] = await Promise.all([
    import("#src/runtime/RunnableModel.ts"),
    import("#src/models/save.ts"),
    import("#src/runtime/ModelFolder.ts")
  ])
  const { model, weights } = await openMerged(folder, baseFinder(workspace))
  await saveModel(target, model, weights)
  await completeModelFolder(target, folder, { ...info, method: "full" })
}

const write = async (workspace: WorkspacePaths, folder: string, target: string, format: "hf" | "peft" | undefined): Promise<string> => {
  const { readModelInfo } = await import("#src/runtime/ModelFolder.ts")
  const info = await readModelInfo(folder)
  const isAdapter = info !== undefined && info.method !== "full"
  const chosen = format ?? (isAdapter ? "peft" : "hf")
  if (chosen === "peft" && !isAdapter) {
    throw new UsageError({ message: "this model is a whole one, not an adapter", hint: "leave --format out, or give --format hf" })
  }
  if (chosen === "hf" && isAdapter) await merge(workspace, folder, info, target)
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
    artifacts: flags.artifacts
  },
  handler(async (input) => {
    const workspace = openWorkspace(input.artifacts)
    const { title, folder } = await findModelFolder(workspace, input.name)
    const target = resolve(input.folder)
    refuseTaken(target)
    // Written aside and renamed, so that a failed export leaves nothing that looks whole.
    const aside = `${target}.${process.pid}.partial`
    mkdirSync(dirname(target), { recursive: true })
    mkdirSync(aside)
    try {
      const format = await write(workspace, folder, aside, input.format)
      rmSync(target, { recursive: true, force: true })
      renameSync(aside, target)
      note(`exported ${title} in ${format === "hf" ? "Hugging Face" : "PEFT"} layout`)
      print(target)
    } finally {
      rmSync(aside, { recursive: true, force: true })
    }
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
    { command: "anneal export model -h", description: "formats" }
  ]),
  Command.withSubcommands([exportModel])
)
