// What the README and CONTRIBUTING say must be there: the pipeline file as it stands, the links, the commands.
import { existsSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { expect, test } from "vitest"

const root = resolve(import.meta.dirname, "..")
const read = (file: string): string => readFileSync(join(root, file), "utf8")
const pages = ["README.md", "CONTRIBUTING.md", "docs/how-it-works.md", "docs/results.md"]

test("the pipeline in the README is the quickstart's", () => {
  const [, shown] = /```ts\n(import[\s\S]*?)```/.exec(read("README.md")) ?? []
  expect(read("pipelines/quickstart.ts")).toContain(shown)
})

test.each(pages)("the links of %s lead somewhere", (page) => {
  const links = [...read(page).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map((match) => match[1] ?? "")
  expect(links.filter((link) => !existsSync(resolve(root, page, "..", link)))).toEqual([])
})

test.each(pages)("the commands of %s exist", (page) => {
  const scripts = Object.keys((JSON.parse(read("package.json")) as { readonly scripts: object }).scripts)
  const text = read(page)
  const commands = [...text.matchAll(/npx anneal ([a-z]+)/g)].map((match) => match[1] ?? "")
  expect(commands.filter((name) => !existsSync(join(root, `src/cli/${name}.ts`)))).toEqual([])
  expect([...text.matchAll(/npm run ([a-z:]+)/g)].map((match) => match[1] ?? "").filter((name) => !scripts.includes(name))).toEqual([])
})
