// `anneal init [folder]`: a small project to start from: package.json, the quickstart pipeline with its data and base model, a README.
import { cpSync, existsSync, statSync, writeFileSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import { UsageError } from "#src/domain/Errors.ts"
import { handler } from "./command.ts"
import { note, print } from "./output.ts"
import { packageFolder, version } from "./package.ts"

const readme = (name: string): string => `# ${name}

A fine-tuning project made with anneal. Node 20 or newer.

    ONNXRUNTIME_NODE_INSTALL=skip npm install   # the line skips a download of GPU libraries that nothing here needs
    npx anneal run quickstart                   # fine-tunes a tiny model in under two minutes
    npx anneal run quickstart                   # again: everything is reused
    npx anneal run quickstart --set train.learningRate=1e-4

\`pipelines/quickstart.ts\` says what is run; its data lies in \`pipelines/data\`, its base model in \`pipelines/models\`. Results are
stored in \`artifacts/\`: safe to delete, everything is then computed again.
`

const manifest = (name: string): string =>
  `${JSON.stringify({ name, private: true, type: "module", scripts: { start: "anneal run quickstart" }, dependencies: { anneal: version } }, null, 2)}\n`

/** Node's rule for package names, as far as a folder's name can break it. */
const packageName = (folder: string): string =>
  basename(folder)
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, "-")
    .replace(/^[._-]+/, "") || "project"

/** The quickstart pipeline and what it reads, as they lie in the package. */
const copied = ["pipelines/quickstart.ts", "pipelines/data/rows.jsonl", "pipelines/models/base"]

/** A path and all folders that it lies in. */
const ancestors = (path: string): readonly string[] => (dirname(path) === path ? [path] : [path, ...ancestors(dirname(path))])

const init = (folder: string): void => {
  const target = resolve(folder)
  const inTheWay = ancestors(target).find((path) => existsSync(path) && !statSync(path).isDirectory())
  if (inTheWay !== undefined) throw new UsageError({ message: `${inTheWay} is a file, not a folder`, hint: "anneal init <new folder>" })
  const name = packageName(target)
  const written: Readonly<Record<string, string>> = {
    "package.json": manifest(name),
    "README.md": readme(name),
    ".gitignore": "node_modules/\nartifacts/\n"
  }
  // A package.json that is there already (npm install came first) stays; everything else of ours must be free.
  const kept = existsSync(join(target, "package.json")) ? ["package.json"] : []
  const taken = [...Object.keys(written), "pipelines"].filter((path) => !kept.includes(path) && existsSync(join(target, path)))
  if (taken.length > 0) {
    throw new UsageError({
      message: `${target} has ${taken.join(" and ")} already`,
      why: "init overwrites nothing",
      hint: "anneal init <new folder>"
    })
  }
  for (const path of copied) cpSync(join(packageFolder, path), join(target, path), { recursive: true })
  for (const [path, text] of Object.entries(written)) if (!kept.includes(path)) writeFileSync(join(target, path), text)
  print(`made ${target}: ${[...Object.keys(written).filter((path) => !kept.includes(path)), "pipelines/"].join(", ")}`)
  const there = resolve(".") === target ? "" : `cd ${folder} && `
  note(`next: ${there}${kept.length > 0 ? "" : "ONNXRUNTIME_NODE_INSTALL=skip npm install && "}npx anneal run quickstart`)
}

export const initCommand = Command.make(
  "init",
  { folder: Argument.String("folder").pipe(Argument.withDescription("where; default: here"), Argument.withDefault(".")) },
  handler(async ({ folder }) => init(folder))
).pipe(
  Command.withDescription("Write a small project: package.json, the quickstart pipeline, its data and base model."),
  Command.withExamples([
    { command: "anneal init my-project", description: "a new folder" },
    { command: "anneal init", description: "in this folder; overwrites nothing" }
  ])
)
