// How long the command line takes where nothing is to be done: node bench/engine.ts (build first: npm run build).
// Prints medians of 15 runs: `anneal --version` (aim < 0.15 s), and a fully reused run of 8 stages (aim < 0.4 s on 2 cores).
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

const repository = resolve(import.meta.dirname, "..")
const root = mkdtempSync(join(tmpdir(), "anneal-bench-"))
mkdirSync(join(root, "pipelines"))
mkdirSync(join(root, "node_modules"))
symlinkSync(repository, join(root, "node_modules/anneal"))
writeFileSync(join(root, "package.json"), '{ "type": "module" }')
const rows = Array.from({ length: 2000 }, (_, i) => JSON.stringify({ instruction: `say ${i}`, output: `it is ${i}` }))
writeFileSync(join(root, "rows.jsonl"), `${rows.join("\n")}\n`)
// Eight builtin stages that need no model: two ingests, each checked, changed and split.
writeFileSync(
  join(root, "pipelines/eight.ts"),
  `import { augment, ingest, pipeline, split, validate } from "anneal"
export default pipeline("eight", () => {
  for (const n of [1, 2]) {
    const rows = ingest({ id: "ingest" + n, from: "rows.jsonl", as: "instruction", limit: 1000 * n })
    const parts = split(validate(rows, { id: "validate" + n }), { id: "split" + n })
    augment(parts.train, { id: "augment" + n, swap: 0.1 })
  }
})
`
)

const anneal = (...args: readonly string[]): string =>
  execFileSync(process.execPath, [join(repository, "bin/anneal.js"), ...args], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"]
  })
const median = (name: string, work: () => void): void => {
  const seconds = Array.from({ length: 15 }, () => {
    const start = performance.now()
    work()
    return (performance.now() - start) / 1000
  }).sort((a, b) => a - b)
  console.log(
    `${name.padEnd(34)} median ${seconds[7]?.toFixed(3)} s   fastest ${seconds[0]?.toFixed(3)} s   slowest ${seconds[14]?.toFixed(3)} s`
  )
}

try {
  median("node -e 0", () => execFileSync(process.execPath, ["-e", "0"]))
  median("anneal --version", () => anneal("--version"))
  anneal("run", "eight", "--ui", "quiet")
  const outcome = JSON.parse(anneal("show", "latest", "--json")) as { readonly stages: readonly { readonly outcome: string }[] }
  console.log(`cold run: ${outcome.stages.map((stage) => stage.outcome).join(" ")}`)
  median("run of 8 stages, all reused", () => anneal("run", "eight", "--ui", "quiet"))
  median("plan of 8 stages, all reused", () => anneal("plan", "eight"))
  median("status", () => anneal("status"))
} finally {
  rmSync(root, { recursive: true, force: true })
}
