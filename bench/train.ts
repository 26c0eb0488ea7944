// Speed and memory of training steps, each case in a process of its own, beside the bare time of the step's own matrix products and,
// where Python is given, beside transformers and PEFT in the same run. Prints Markdown:
//   npm run bench:train -- [filter] [--rounds n] [--rows gsm8k/train.jsonl --tokenizer gpt2]
//     [--python path/to/python --peers folder of hf_cpu.py and hf_real.py] [--device cuda] [--dtype bfloat16]
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { stageEnvironment } from "#src/engine/stageEnvironment.ts"
import { cudaEnvironment } from "#src/runtime/cudaEnvironment.ts"
import { type Case, cases } from "./trainCases.ts"
import { shapes, writeBase } from "./trainingCase.ts"
import type { Measured } from "./trainStep.ts"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: Object.fromEntries(
    ["rounds", "rows", "tokenizer", "python", "peers", "device", "dtype"].map((name) => [name, { type: "string" as const }])
  )
})
const { rows, tokenizer, python, peers, device = "cpu", dtype = "float32" } = values as Readonly<Record<string, string | undefined>>
const rounds = Number(values["rounds"] ?? 1)

/** The last line of a program's output, which is JSON. */
const lastLine = (command: string, args: readonly string[], env: NodeJS.ProcessEnv): unknown => {
  const { stdout, stderr, status } = spawnSync(command, args, { encoding: "utf8", env, maxBuffer: 2 ** 26 })
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: exit ${status}\n${stderr}`)
  return JSON.parse(stdout.trim().split("\n").at(-1) as string)
}

const folder = mkdtempSync(join(tmpdir(), "anneal-train-"))
const own = (each: Case): Measured => {
  const worker = resolve(import.meta.dirname, "trainStep.ts")
  const real = each.rows === "real" ? [rows as string, tokenizer as string] : []
  return lastLine(
    process.execPath,
    // As many short-lived objects as in the thread of a stage (src/runtime/workerLimits.ts).
    ["--conditions=source", "--no-warnings", "--max-semi-space-size=2", worker, folder, each.name, device, dtype, ...real],
    stageEnvironment(device === "cuda" ? cudaEnvironment : {})
  ) as Measured
}

interface Peer {
  readonly speed: number
  readonly peak: number
}
/** The program of a case's rival, with its arguments. On a GPU there is one for dense cases, but for qlora, which would need bitsandbytes there. */
const rivalOf = ({ rows: kind, rival, config }: Case): readonly string[] | undefined => {
  const isHere = device === "cpu" || (kind !== "real" && config.method?.type !== "qlora")
  if (rival === undefined || !isHere) return undefined
  const [script, ...args] = rival
  if (device !== "cpu" || script === "dense_peer.py") return [resolve(import.meta.dirname, "dense_peer.py"), ...args, device, dtype]
  return [join(peers as string, script), ...(kind === "real" ? [rows as string, join(tokenizer as string, "tokenizer.json")] : []), ...args]
}
const peer = (program: readonly string[]): Peer => {
  const said = lastLine(python as string, program, process.env) as Readonly<Record<string, number>>
  return { speed: (said["rows_s"] ?? said["tok_s_median"]) as number, peak: (said["rss_mb"] as number) * 2 ** 20 }
}

const best = <A extends { readonly speed: number }>(tries: readonly A[]): A => tries.reduce((a, b) => (b.speed > a.speed ? b : a))
const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(2)
const speed = (value: number): string => (value < 100 ? value.toFixed(2) : value.toFixed(0))

const beside = python !== undefined && (peers !== undefined || device !== "cpu")
const chosen = cases.filter(({ name, rows: kind }) => name.includes(positionals[0] ?? "") && (kind !== "real" || (rows && tokenizer)))
const columns = ["case", "speed", "step ms", "bare products ms", "step / bare", "peak GB"]
const besides = ["transformers + PEFT", "peak GB", "speed ratio", "memory ratio"]
const header = beside ? [...columns, ...besides] : columns
console.log(
  `| ${header.join(" | ")} |\n| --- | ${header
    .slice(1)
    .map(() => "---:")
    .join(" | ")} |`
)
try {
  for (const each of chosen) {
    // Not in the measured process: making weights takes memory.
    const base = join(folder, each.base)
    if (!existsSync(base)) await writeBase(base, shapes[each.base])
    const rival = beside ? rivalOf(each) : undefined
    // Turn by turn, so that what else the machine does meets both.
    const turns = Array.from({ length: rounds }, () => ({
      ours: own(each),
      theirs: rival && peer(rival)
    }))
    const ours = best(turns.map((turn) => turn.ours))
    const cells = [
      `${speed(ours.speed)} ${ours.unit}`,
      ours.stepMs.toFixed(device === "cpu" ? 0 : 1),
      ...(ours.bare === undefined
        ? ["", ""]
        : [
            `${ours.bare.ms.toFixed(0)} (${(ours.bare.flops / ours.bare.ms / 1e6).toFixed(0)} GFLOP/s)`,
            (ours.stepMs / ours.bare.ms).toFixed(2)
          ]),
      gigabytes(ours.peak)
    ]
    const others = turns.flatMap(({ theirs }) => theirs ?? [])
    if (others.length > 0) {
      const theirs = best(others)
      cells.push(speed(theirs.speed), gigabytes(theirs.peak), (ours.speed / theirs.speed).toFixed(2), (ours.peak / theirs.peak).toFixed(2))
    } else if (beside) cells.push("", "", "", "")
    console.log(`| ${each.name} | ${cells.join(" | ")} |`)
  }
} finally {
  rmSync(folder, { recursive: true })
}
