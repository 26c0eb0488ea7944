// Bad input on the command line: one clear error on stderr, nothing on stdout, no stack, exit code 2.
import { expect, test } from "vitest"
import { makeWorkspace } from "./cli.ts"

const source = (body: string): string => `import { defineStage, pipeline, Schema, train, ingest } from "anneal"\n${body}\n`

const files: readonly (readonly [name: string, text: string, message: RegExp, where: RegExp])[] = [
  ["types.ts", "export default 1\nconst x: = 3\n", /syntax error/, /types\.ts:2/],
  ["script.mjs", "export default 1\nconst x = = 3\n", /syntax error/, /script\.mjs:2/],
  ["enum.ts", "enum A { X }\nexport default A\n", /enum is not supported/, /enum\.ts:1/],
  ["throws.ts", "const f = () => {\n  throw new TypeError('boom')\n}\nf()\n", /TypeError: boom/, /throws\.ts:2/],
  ["text.mjs", "throw 'plain text'\n", /plain text/, /text\.mjs/],
  ["package.ts", "import 'not-installed'\n", /cannot be found: not-installed/, /package\.ts/],
  ["file.ts", "import './gone.ts'\n", /cannot be found: .*gone\.ts/, /file\.ts/],
  ["nothing.ts", "export const a = 1\n", /no default export/, /nothing\.ts/],
  ["number.ts", "export default 1\n", /not a pipeline/, /number\.ts/],
  ["outside.ts", source('export default ingest({ from: "x", as: "text" })'), /outside pipeline/, /outside\.ts:2/],
  [
    "twice.ts",
    source('export default pipeline("p", () => { ingest({ from: "x", as: "text" }); ingest({ from: "y", as: "text" }) })'),
    /two stages are called ingest/,
    /pipeline p/
  ],
  [
    "missing.ts",
    source('export default pipeline("p", () => { ingest({ from: "gone.jsonl", as: "text" }) })'),
    /no such file.*gone\.jsonl/,
    /ingest/
  ]
]

test.each(files)("%s", async (name, text, message, where) => {
  const { write, anneal } = makeWorkspace()
  write(`pipelines/${name}`, text)
  const { code, stdout, stderr } = await anneal("plan", name.replace(/\.\w+$/, ""))
  expect(code).toBe(2)
  expect(stdout).toBe("")
  expect(stderr).toMatch(message)
  expect(stderr).toMatch(where)
  expect(stderr).toContain("try: ")
  expect(stderr).not.toMatch(/^\s+at .*\(.*:\d+:\d+\)$/m)
})

test("a wrong config lists every wrong field with what was expected and the nearest name", async () => {
  const { write, anneal } = makeWorkspace()
  write(
    "pipelines/wrong.mjs",
    'import { baseModel, ingest, pipeline, format, train } from "anneal"\n' +
      'export default pipeline("wrong", () => { const base = baseModel("m"); const rows = ingest({ from: "r.jsonl", as: "text" });' +
      ' train({ tokens: format({ train: rows, test: rows, base }, { maxLength: 8 }), base }, { learningRate: "fast", epocs: 2 }) })'
  )
  const { code, stderr } = await anneal("plan", "wrong")
  expect(code).toBe(2)
  expect(stderr).toMatch(/learningRate: expected .*"fast"/)
  expect(stderr).toMatch(/unknown option epocs \(did you mean epochs\?\)/)
})

const usage: readonly (readonly [args: readonly string[], message: RegExp, hint: RegExp])[] = [
  [["rnu"], /no command "rnu"/, /anneal run/],
  [["run"], /needs <pipeline>/, /anneal run -h/],
  [["run", "smal"], /no pipeline "smal"/, /did you mean small\?/],
  [["run", "none.ts"], /no such pipeline file: none\.ts/, /path/],
  [["run", "small", "--forse", "count"], /no flag --forse/, /--force/],
  [["run", "small", "--ui", "fancy"], /fancy/, /-h/],
  [["plan", "small", "--set", "cuont.to=1"], /there is no stage cuont/, /did you mean count\?/],
  [["plan", "small", "--set", "count.too=1"], /too/, /./],
  [["plan", "small", "--set", "count.to=fast"], /to: expected .*"fast"/, /./],
  [["plan", "small", "duoble"], /no stage duoble/, /did you mean double\?/],
  [["why", "small", "cont"], /no stage "cont"/, /did you mean count\?/],
  [["show", "latest"], /no run yet/, /anneal run/],
  [["compare", "a"], /two runs or more/, /anneal compare/],
  [["models", "x"], /no model "x"/, /./],
  [["models", "x", "--alias", "prod"], /not alias=version/, /prod=3/],
  [["runs", "--filter", "nonsense"], /no comparison/, /outcome=done/]
]

test.each(usage)("anneal %j", async (args, message, hint) => {
  const { anneal } = makeWorkspace()
  const { code, stdout, stderr } = await anneal(...args)
  expect(code).toBe(2)
  expect(stdout).toBe("")
  expect(stderr).toMatch(message)
  expect(stderr.split("try: ")[1]).toMatch(hint)
})

test("every command's help begins with two examples and exits with 0", async () => {
  const { anneal } = makeWorkspace()
  const root = await anneal("-h")
  const commands = [...root.stdout.split("SUBCOMMANDS")[1]!.matchAll(/^ {2}(\w+)/gm)].map(([, name]) => name as string)
  expect(commands).toEqual(
    expect.arrayContaining("run plan why status runs show compare logs doctor init models generate export".split(" "))
  )
  for (const command of commands) {
    const { code, stdout } = await anneal(command, "-h")
    expect(code).toBe(0)
    expect(stdout).toMatch(/^EXAMPLES\n {2}anneal .*\n {2}anneal .*\n/)
  }
})

test("the version is one line", async () => {
  const { anneal } = makeWorkspace()
  expect((await anneal("--version")).stdout).toMatch(/^anneal \d+\.\d+\.\d+\n$/)
})

test("init where a file stands in the way says so", async () => {
  const { anneal, write } = makeWorkspace()
  write("taken", "")
  for (const folder of ["taken", "taken/deep/er"]) {
    const refused = await anneal("init", folder)
    expect(refused).toMatchObject({ code: 2, stdout: "" })
    expect(refused.stderr).toMatch(/taken is a file, not a folder/)
  }
})
