// A user's stage is its module graph: what changes its behaviour changes its digests, what does not, does not.
import { describe, expect, test } from "vitest"
import { moduleGraph } from "#src/engine/moduleGraph.ts"
import { digestModule } from "#src/engine/moduleSyntax.ts"
import type { ModuleReader } from "#src/store/moduleReader.ts"

const readerOf = (files: Readonly<Record<string, string>>): ModuleReader => ({
  read: (path) => files[path] ?? "",
  isFile: (path) => path in files,
  exists: (path) => path in files,
  realPath: (path) => path
})
const project = {
  "/p/package.json": JSON.stringify({ name: "mine", imports: { "#lib/*.ts": { source: "./lib/*.ts", default: "./dist/*.js" } } }),
  "/p/stages/shout.ts":
    'import { a } from "./a.ts"\nimport { readFileSync } from "node:fs"\nexport const run = (x: string): string => a(x)',
  "/p/stages/a.ts": 'export { b as a } from "../lib/b.ts"\nimport zod from "zod"\nzod()',
  "/p/lib/b.ts": 'export const b = async (x: string) => (await import("#lib/c.ts")).c(x)',
  "/p/lib/c.ts": "export const c = (x: string) => x.toUpperCase()",
  "/p/lib/unused.ts": "export const unused = 1",
  "/p/node_modules/zod/package.json": JSON.stringify({ name: "zod", version: "4.0.0" }),
  "/p/node_modules/other/package.json": JSON.stringify({ name: "other", version: "1.0.0" })
}
const graph = (change: Readonly<Record<string, string>> = {}) =>
  moduleGraph("file:///p/stages/shout.ts?t=1", "/p", readerOf({ ...project, ...change }))

describe("graph", () => {
  test("follows imports, re-exports, late imports and the package's import map; packages count by version", () => {
    const { modules, packages, warnings } = graph()
    expect(Object.keys(modules).sort()).toEqual(["lib/b.ts", "lib/c.ts", "stages/a.ts", "stages/shout.ts"])
    expect(packages).toEqual({ zod: "4.0.0" })
    expect(warnings).toEqual([])
  })
  test("a helper three imports deep counts, under its own name", () => {
    const now = graph({ "/p/lib/c.ts": "export const c = (x: string) => x.toLowerCase()" }).modules
    const changed = Object.entries(graph().modules).filter(([name, digest]) => now[name] !== digest)
    expect(changed.map(([name]) => name)).toEqual(["lib/c.ts"])
  })
  test("files and packages that are not imported do not count", () => {
    const change = {
      "/p/lib/unused.ts": "export const unused = 2",
      "/p/node_modules/other/package.json": JSON.stringify({ name: "other", version: "2.0.0" })
    }
    expect(graph(change)).toEqual(graph())
  })
  test("a file of a package counts as the package", () => {
    const inner = { "/p/lib/c.ts": 'import "../node_modules/zod/deep.js"\nexport const c = 1', "/p/node_modules/zod/deep.js": "1" }
    expect(graph(inner)).toMatchObject({ packages: { zod: "4.0.0" }, warnings: [] })
  })
  test("a computed import, a missing file and a missing package are warned of", () => {
    const odd = 'const n = "x"; await import(`./${n}.ts`); await import("./gone.ts"); await import("absent")'
    expect(graph({ "/p/lib/c.ts": odd }).warnings).toHaveLength(3)
  })
  test("modules that import each other", () => {
    const loop = { "/p/lib/c.ts": 'import "./b.ts"\nexport const c = 1' }
    expect(Object.keys(graph(loop).modules)).toHaveLength(4)
  })
})

describe("syntax", () => {
  const digest = (text: string): string => digestModule(text, "/x.ts").digest
  const text = 'import { x } from "y"\nexport const f = (a: number, b = 1): string => { return `${a} ${/r+/g.source}` + "q" + 1000 }'
  test("comments, formatting, types and quotes are inert", () => {
    const other =
      "// what it is\nimport {x} from 'y';\n\nexport const f = (a: bigint, b = 1,): unknown => {\n  /* why */ return (`${a} ${/r+/g.source}`) + 'q' + 1e3;;\n}"
    expect(digest(other)).toBe(digest(text))
  })
  test.each([
    ["a number", "1000", "1001"],
    ["a text", '"q"', '"p"'],
    ["a pattern", "/r+/g", "/r+/gi"],
    ["a template", "} ${", "}  ${"],
    ["an operator", '+ "q"', '- "q"'],
    ["a default", "b = 1", "b = 2"],
    ["where it imports from", '"y"', '"z"']
  ])("%s counts", (_, from, to) => {
    expect(digest(text.replace(from, to))).not.toBe(digest(text))
  })
  test("a big integer and a pattern are told apart", () => {
    expect(digest("f(1n)")).not.toBe(digest("f(2n)"))
    expect(digest("f(/a/)")).not.toBe(digest("f(/b/)"))
  })
  test("a syntax error says where", () => {
    expect(() => digest("const = 1")).toThrow(expect.objectContaining({ _tag: "DefinitionError", where: "/x.ts" }))
  })
})
