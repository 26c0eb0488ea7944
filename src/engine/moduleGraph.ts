// What a user's own stage is made of: the module that calls defineStage and all that it imports. Modules count by their
// syntax tree (comments, formatting and types are inert), packages by their installed version.
import { isBuiltin } from "node:module"
import { dirname, join, relative, resolve, sep } from "node:path"
import { fileURLToPath } from "node:url"
import type { ModuleReader } from "#src/store/moduleReader.ts"
import { digestModule, type ModuleSyntax } from "./moduleSyntax.ts"

export interface ModuleGraph {
  /** "sha256:<hex>" by path relative to `root`, with "/". */
  readonly modules: Readonly<Record<string, string>>
  /** Installed version by package name. */
  readonly packages: Readonly<Record<string, string>>
  /** What the graph cannot see, one sentence each. */
  readonly warnings: readonly string[]
}

/**
 * @param entry path or file: URL of the module that calls defineStage
 * @throws DefinitionError for a module that cannot be parsed or found
 */
export const moduleGraph = (entry: string, root: string, reader: ModuleReader): ModuleGraph => {
  const modules = new Map<string, string>()
  const packages = new Map<string, string>()
  const warnings: string[] = []
  const nameOf = (path: string): string => relative(root, path).split(sep).join("/")

  const visit = (path: string): void => {
    const inPackage = /^.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)
    if (inPackage !== null) return addFolder(inPackage[1] ?? "", inPackage[0])
    const name = nameOf(path)
    if (modules.has(name)) return
    const syntax: ModuleSyntax = digestModule(reader.read(path), path)
    modules.set(name, syntax.digest)
    if (syntax.dynamic) warnings.push(`${name} imports a module whose name is computed: changes in it are not noticed`)
    for (const specifier of syntax.imports) follow(specifier, path)
  }
  const follow = (specifier: string, from: string): void => {
    if (isBuiltin(specifier)) return
    if (!/^[./#]|^file:/.test(specifier)) return addPackage(specifier, from)
    const path = specifier.startsWith("#") ? mapped(specifier, from) : local(specifier, from)
    if (path === undefined) warnings.push(`${nameOf(from)} imports ${specifier}, which is not there`)
    else visit(path)
  }
  const local = (specifier: string, from: string): string | undefined => {
    const path = specifier.startsWith("file:") ? fileURLToPath(specifier) : resolve(dirname(from), specifier)
    return reader.isFile(path) ? reader.realPath(path) : undefined
  }
  /** "#name" through the `imports` of the nearest package.json; entries with conditions take their first file that is there. */
  const mapped = (specifier: string, from: string): string | undefined => {
    const found = packageOf(dirname(from))
    const table = (found?.json.imports ?? {}) as Readonly<Record<string, unknown>>
    for (const [pattern, value] of Object.entries(table)) {
      const [before = "", after] = pattern.split("*")
      const fits = after === undefined ? specifier === pattern : specifier.startsWith(before) && specifier.endsWith(after)
      if (!fits || found === undefined) continue
      const star = after === undefined ? "" : specifier.slice(before.length, specifier.length - after.length)
      const paths = targets(value).map((to) => join(found.folder, to.replaceAll("*", star)))
      const path = paths.find((candidate) => reader.isFile(candidate))
      if (path !== undefined) return reader.realPath(path)
    }
    return undefined
  }
  const addPackage = (specifier: string, from: string): void => {
    const name = specifier
      .split("/")
      .slice(0, specifier.startsWith("@") ? 2 : 1)
      .join("/")
    const folder = packageFolder(name, dirname(from))
    if (folder === undefined) {
      warnings.push(`${nameOf(from)} imports ${specifier}, which is not installed`)
      return
    }
    addFolder(name, folder)
    const real = reader.realPath(folder)
    if (real !== folder && !real.includes(`${sep}node_modules${sep}`))
      warnings.push(`package ${name} is a link: it counts by its version, changes in its files are not noticed`)
  }
  const addFolder = (name: string, folder: string): void => {
    const version = packageOf(folder)?.json.version
    packages.set(name, typeof version === "string" ? version : "none")
  }
  const packageFolder = (name: string, from: string): string | undefined => {
    const here = packageOf(from)
    if (here?.json.name === name) return here.folder
    for (let folder = from; ; folder = dirname(folder)) {
      const candidate = join(folder, "node_modules", name)
      if (reader.exists(join(candidate, "package.json"))) return candidate
      if (dirname(folder) === folder) return undefined
    }
  }
  const packageOf = (from: string): { readonly folder: string; readonly json: Readonly<Record<string, unknown>> } | undefined => {
    for (let folder = from; ; folder = dirname(folder)) {
      const path = join(folder, "package.json")
      if (reader.isFile(path)) return { folder, json: JSON.parse(reader.read(path)) as Record<string, unknown> }
      if (dirname(folder) === folder) return undefined
    }
  }

  visit(reader.realPath(entry.startsWith("file:") ? fileURLToPath(entry.replace(/[?#].*$/, "")) : entry))
  return { modules: Object.fromEntries(modules), packages: Object.fromEntries(packages), warnings }
}

const targets = (value: unknown): readonly string[] =>
  typeof value === "string" ? [value] : typeof value === "object" && value !== null ? Object.values(value).flatMap(targets) : []
