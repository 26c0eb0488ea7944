// `anneal models [name]`: the registered models, their versions and aliases; --alias moves an alias.
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Option from "effect/Option"
import * as Flag from "effect/cli/Flag"
import { UsageError } from "#src/domain/Errors.ts"
import { short } from "#src/report/format.ts"
import { textTable } from "#src/report/table.ts"
import { objectPath } from "#src/store/Objects.ts"
import type { AliasRow, ModelRow } from "#src/store/records.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"
import { handler } from "./command.ts"
import { askCatalog, openWorkspace } from "./context.ts"
import * as flags from "./flags.ts"
import { note, print, printJson } from "./output.ts"
import { hintFor } from "#src/domain/nearest.ts"

const aliasesOf = (model: ModelRow, aliases: readonly AliasRow[]): readonly string[] =>
  aliases.filter((alias) => alias.name === model.name && alias.version === model.version).map((alias) => alias.alias)

/**
 * A registered model by "name", "name@version" or "name@alias"; a bare name means `latest`, or else its highest version.
 * @throws UsageError with the nearest names or the versions that there are
 */
export const findModel = async (workspace: WorkspacePaths, reference: string): Promise<ModelRow> => {
  const [name = "", which] = reference.split("@")
  const { models, aliases } = await askCatalog(workspace, (catalog) => catalog.models())
  const versions = models.filter((model) => model.name === name)
  if (versions.length === 0) {
    throw new UsageError({
      message: `no model "${name}" is registered`,
      hint: hintFor(name, [...new Set(models.map((model) => model.name))])
    })
  }
  const wanted = which ?? "latest"
  const version = aliases.find((alias) => alias.name === name && alias.alias === wanted)?.version ?? Number(wanted)
  const found = versions.find((model) => model.version === version) ?? (which === undefined ? versions.at(-1) : undefined)
  if (found !== undefined) return found
  const known = [
    ...versions.map((model) => String(model.version)),
    ...aliases.filter((alias) => alias.name === name).map((one) => one.alias)
  ]
  throw new UsageError({ message: `${name} has no version or alias "${wanted}"`, hint: hintFor(wanted, known) })
}

const parseAlias = (text: string): { readonly alias: string; readonly version: number } => {
  const [, alias, version] = /^([a-z][a-z0-9._-]*)=([1-9]\d*)$/.exec(text) ?? []
  if (alias !== undefined && version !== undefined) return { alias, version: Number(version) }
  throw new UsageError({ message: `--alias ${text} is not alias=version`, hint: "for example --alias prod=3" })
}

const list = async (workspace: WorkspacePaths, name: string | undefined, json: boolean, wide: boolean): Promise<void> => {
  const { models, aliases } = await askCatalog(workspace, (catalog) => catalog.models())
  const rows = models.filter((model) => name === undefined || model.name === name)
  if (name !== undefined && rows.length === 0) await findModel(workspace, name)
  if (json) {
    return printJson({
      models: rows.map((model) => ({
        name: model.name,
        version: model.version,
        aliases: aliasesOf(model, aliases),
        digest: model.digest,
        path: objectPath(workspace, model.digest),
        run: model.run,
        registeredAt: model.time
      }))
    })
  }
  if (rows.length === 0) return print("no model yet: a pipeline with a register stage makes one")
  print(
    textTable({
      header: ["model", "aliases", "digest", "run", "registered"],
      rows: rows.map((model) => [
        `${model.name}@${model.version}`,
        aliasesOf(model, aliases).join(" "),
        short(model.digest, wide ? 64 : 8),
        model.run,
        model.time.slice(0, 16).replace("T", " ")
      ])
    })
  )
}

export const modelsCommand = Command.make(
  "models",
  {
    name: Argument.String("name").pipe(Argument.withDescription("only this model"), Argument.optional),
    alias: flags.maybe(Flag.String("alias").pipe(Flag.withMetavar("alias=version"), Flag.withDescription("move an alias to a version"))),
    json: flags.json,
    wide: flags.wide,
    artifacts: flags.artifacts
  },
  handler(async (input) => {
    const workspace = openWorkspace(input.artifacts)
    const name = Option.getOrUndefined(input.name)
    if (input.alias !== undefined) {
      if (name === undefined)
        throw new UsageError({ message: "--alias needs a model's name", hint: `anneal models <name> --alias ${input.alias}` })
      const { alias, version } = parseAlias(input.alias)
      await askCatalog(workspace, (catalog) => catalog.moveAlias(name, alias, version))
      note(`${name}@${alias} is now version ${version}`)
    }
    await list(workspace, name, input.json, input.wide)
  })
).pipe(
  Command.withDescription("Registered models, their versions and aliases."),
  Command.withExamples([
    { command: "anneal models", description: "all of them" },
    { command: "anneal models support --alias prod=3", description: "point prod at version 3" }
  ])
)
