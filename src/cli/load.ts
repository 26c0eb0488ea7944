// From what was typed to a pipeline as data: finds the file, imports it, and turns whatever is wrong with it into one error with its place.
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { basename, extname, join, relative, resolve } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { type AnnealError, DefinitionError, isAnnealError, UsageError } from "#src/domain/Errors.ts"
import type { PipelineDef } from "#src/domain/Pipeline.ts"
import { hintFor } from "#src/domain/nearest.ts"

const extensions = [".ts", ".mts", ".js", ".mjs"]

export interface LoadedPipeline {
  /** Absolute path of the file. */
  readonly file: string
  readonly definition: PipelineDef
}

/** Names of the pipelines of a workspace, sorted. */
export const pipelineNames = (folder: string): readonly string[] =>
  (existsSync(folder) ? readdirSync(folder) : [])
    .filter((name) => extensions.includes(extname(name)) && !name.endsWith(".d.ts"))
    .map((name) => basename(name, extname(name)))
    .toSorted()

/**
 * The file that `given` means: a name in the pipelines folder, or a path.
 * @throws UsageError with the nearest names
 */
export const findPipeline = (folder: string, given: string): string => {
  const isPath = extensions.includes(extname(given)) || given.includes("/") || given.includes("\\")
  const candidates = isPath ? [resolve(given)] : extensions.map((extension) => join(folder, given + extension))
  const found = candidates.find((file) => existsSync(file))
  if (found !== undefined) return found
  if (isPath)
    throw new UsageError({ message: `no such pipeline file: ${given}`, hint: "check the path, or give the name of a file in pipelines/" })
  throw new UsageError({ message: `no pipeline "${given}" in ${folder}`, hint: hintFor(given, pipelineNames(folder)) })
}

/** @throws UsageError, DefinitionError */
export const loadPipeline = async (folder: string, given: string): Promise<LoadedPipeline> => {
  const file = findPipeline(folder, given)
  const module = await imported(file)
  const definition = module["default"]
  if (!isPipeline(definition)) {
    throw new DefinitionError({
      message: definition === undefined ? "the file has no default export" : "the file's default export is not a pipeline",
      where: shown(file),
      hint: 'end it with: export default pipeline("name", () => { ... })'
    })
  }
  return { file, definition }
}

const isPipeline = (value: unknown): value is PipelineDef =>
  typeof value === "object" && value !== null && "_tag" in value && value._tag === "Pipeline"

/** Paths as the user would type them from here. */
const shown = (file: string): string => {
  const near = relative(process.cwd(), file)
  return near.startsWith("..") ? file : near
}

const imported = async (file: string): Promise<Readonly<Record<string, unknown>>> => {
  // Node says once that type stripping is young or that package.json has no "type": true of every pipeline file, so not worth a line.
  const emitWarning = process.emitWarning.bind(process)
  process.emitWarning = () => {}
  // What a pipeline file prints is no part of a command's answer.
  const { log, info, debug } = console
  Object.assign(console, { log: console.error, info: console.error, debug: console.error })
  try {
    return (await import(pathToFileURL(file).href)) as Readonly<Record<string, unknown>>
  } catch (thrown) {
    throw await located(file, thrown)
  } finally {
    process.emitWarning = emitWarning
    Object.assign(console, { log, info, debug })
  }
}

const located = async (file: string, thrown: unknown): Promise<AnnealError> => {
  const stack = thrown instanceof Error ? (thrown.stack ?? "") : ""
  const where = placeIn(stack, file) ?? (thrown instanceof SyntaxError ? await syntaxPlace(file) : undefined) ?? shown(file)
  if (isAnnealError(thrown)) return thrown.where === undefined ? new DefinitionError({ ...fieldsOf(thrown), where }) : thrown
  if (!(thrown instanceof Error))
    return new DefinitionError({ message: `the file threw ${JSON.stringify(thrown)}`, where, hint: "fix the file" })
  const code = "code" in thrown ? String(thrown.code) : ""
  if (code === "ERR_MODULE_NOT_FOUND") {
    const missing = /^Cannot find (?:package|module) '([^']+)'/.exec(thrown.message)?.[1] ?? ""
    const hint = missing.startsWith("/") ? "check the path of the import" : `install it: npm install ${missing}`
    return new DefinitionError({ message: `an import cannot be found: ${missing}`, where, hint })
  }
  if (code === "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX") {
    return new DefinitionError({
      message: thrown.message,
      where,
      why: "Node removes types but does not compile",
      hint: "write it without that syntax"
    })
  }
  const what = thrown instanceof SyntaxError ? "syntax error" : thrown.name
  return new DefinitionError({ message: `${what}: ${thrown.message}`, where, hint: "fix the line and run the same command" })
}

const fieldsOf = ({ message, why, hint }: AnnealError) => ({
  message,
  ...(why === undefined ? {} : { why }),
  ...(hint === undefined ? {} : { hint })
})

/** "file:line" of the first place in the stack that lies in the file or its neighbours, not inside Node or a package. */
const placeIn = (stack: string, file: string): string | undefined => {
  const root = resolve(file, "../..")
  for (const [, path, line] of stack.matchAll(/((?:file:\/\/)?(?:\/|[A-Za-z]:\\)[^\s():]+(?::\\[^\s():]+)?):(\d+)/g)) {
    if (path === undefined || line === undefined) continue
    const local = path.startsWith("file:") ? fileURLToPath(path) : path
    if (local.startsWith(root) && !local.includes("/node_modules/") && !isOwn(local)) return `${shown(local)}:${line}`
  }
  return undefined
}

// This code's own files, so that an error thrown by pipeline() is placed where it was called. Bundled, they all lie in dist/.
const own = /^(.*)\/(?:dist|src)\//.exec(fileURLToPath(import.meta.url))?.[1] ?? ""
const isOwn = (path: string): boolean => ["dist", "src", "stages"].some((folder) => path.startsWith(`${own}/${folder}/`))

/** Node does not say where plain JavaScript fails to parse; the parser that keys users' stages does: "... (line:column)". */
const syntaxPlace = async (file: string): Promise<string | undefined> => {
  const { digestModule } = await import("#src/engine/moduleSyntax.ts")
  try {
    digestModule(readFileSync(file, "utf8"), file)
    return undefined
  } catch (error) {
    const line = /\((\d+):\d+\)$/.exec((error as Error).message)?.[1]
    return line === undefined ? undefined : `${shown(file)}:${line}`
  }
}
