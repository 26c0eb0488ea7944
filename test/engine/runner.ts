// One run in a process of its own: node --conditions=source runner.ts <root> <write first | wait first>. Stage `slow` puts down
// "started", then waits for the file "go"; the summary's outcomes are printed as JSON.
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { pipeline } from "#src/engine/define.ts"
import { benchIn, type Bench, type Body, concatenate, counting } from "./stages.ts"

/** first -> slow -> last; `slow` waits before or after it writes. */
export const slowPipeline = ({ add, root }: Bench, order: string) => {
  const waiting: Body = async (context) => {
    if (order === "write") await concatenate(context)
    writeFileSync(join(root, "started"), "")
    while (!existsSync(join(root, "go"))) await sleep(10)
    if (order !== "write") await concatenate(context)
  }
  return pipeline("slow", () => {
    const first = add(counting("first", {}), {}, { text: "1" })
    const slow = add(counting("slow", { a: "text" }, waiting), { a: first }, { text: "2" })
    add(counting("last", { a: "text" }), { a: slow }, { text: "3" })
  })
}

const [, script, root, order] = process.argv
if (script === import.meta.filename && root !== undefined) {
  const b = benchIn(root)
  const summary = await b.run(slowPipeline(b, order ?? ""))
  const waited = b.events.some((event) => event._tag === "Waiting")
  console.log(JSON.stringify({ exitCode: summary.exitCode, outcomes: summary.stages.map((end) => end.outcome), waited }))
}
