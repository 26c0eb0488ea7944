// The forecast of a training's memory beside what it takes: each case runs the train stage in its own process, as a run does, and the
// process's peak is read from the system until it ends (Linux).
//   npm run bench:memory -- [filter]
import { fork } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import * as Schema from "effect/Schema"
import { lora, prefix, qlora } from "#src/adapters/options.ts"
import { rowSizes } from "#src/batching/rows.ts"
import type { FromChild } from "#src/domain/ChildProtocol.ts"
import type { StageTask } from "#src/domain/StageContext.ts"
import { stageEnvironment } from "#src/engine/stageEnvironment.ts"
import { loadModel } from "#src/models/load.ts"
import type { TokensTable } from "#src/store/tokens.ts"
import { forecastOf } from "#stages/train/forecast.ts"
import { TrainConfig } from "#stages/train/stage.ts"
import { arbitraryRows, type ShapeName, shapes, tokensTable, trainTask, writeBase } from "./trainingCase.ts"

interface Case {
  readonly name: string
  readonly model: ShapeName
  /** Tokens of a row: each as long as this, or spread from a quarter of it up. */
  readonly length: number
  readonly spread?: boolean
  readonly validation?: boolean
  /** The constants of the forecast were measured with it. */
  readonly calibrates?: boolean
  readonly config: typeof TrainConfig.Encoded
}

const adapter = { loraAlpha: 16, targetModules: "all-linear" } as const
const cases: readonly Case[] = [
  { name: "tiny full", model: "tiny", length: 129, calibrates: true, config: { batchSize: 8 } },
  { name: "tiny lora", model: "tiny", length: 129, config: { batchSize: 8, method: lora(adapter) } },
  {
    name: "tiny full, dropout, batch 16",
    model: "tiny",
    length: 129,
    config: { batchSize: 16, attentionDropout: 0.1, residualDropout: 0.1 }
  },
  { name: "small full", model: "small", length: 257, config: { batchSize: 4 } },
  { name: "small full, batch 16", model: "small", length: 257, config: { batchSize: 16 } },
  { name: "small full, batch 16, checkpointing", model: "small", length: 257, config: { batchSize: 16, gradientCheckpointing: true } },
  {
    name: "small full, accumulation, validation",
    model: "small",
    length: 257,
    spread: true,
    validation: true,
    config: { batchSize: 4, gradientAccumulationSteps: 2 }
  },
  { name: "small full, lion", model: "small", length: 129, config: { batchSize: 2, optimizer: "lion" } },
  { name: "small lora", model: "small", length: 257, calibrates: true, config: { batchSize: 4, method: lora(adapter) } },
  {
    name: "small lora, packing",
    model: "small",
    length: 257,
    spread: true,
    config: { batchSize: 4, packing: true, packLength: 512, method: lora(adapter) }
  },
  { name: "small qlora", model: "small", length: 257, config: { batchSize: 4, method: qlora(adapter) } },
  { name: "small prefix", model: "small", length: 257, config: { batchSize: 4, method: prefix() } },
  { name: "135m full", model: "135m", length: 65, config: { batchSize: 2 } },
  { name: "135m full, checkpointing", model: "135m", length: 129, config: { batchSize: 4, gradientCheckpointing: true } },
  { name: "135m lora", model: "135m", length: 129, config: { batchSize: 4, method: lora(adapter) } },
  {
    name: "135m qlora, checkpointing",
    model: "135m",
    length: 129,
    calibrates: true,
    config: { batchSize: 4, gradientCheckpointing: true, method: qlora(adapter) }
  }
]

const tokensOf = ({ length, spread = false, model }: Case, rows: number): TokensTable => {
  const lengths = Array.from({ length: rows }, (_, row) => (spread && row % 4 !== 0 ? Math.ceil((length * (1 + (row % 4))) / 4) : length))
  const { vocab } = shapes[model]
  return tokensTable(arbitraryRows(lengths, vocab), vocab)
}

/** Peak of a process's resident memory so far, in bytes; 0 once it is gone. */
const peakOf = (pid: number): number => {
  try {
    return 1024 * Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0)
  } catch {
    return 0
  }
}

const run = (task: StageTask<TrainConfig>): Promise<{ readonly peak: number; readonly before: number }> =>
  new Promise((done, failed) => {
    const child = fork(resolve(import.meta.dirname, "../dist/stage-child.js"), {
      env: stageEnvironment(),
      stdio: ["ignore", "inherit", "inherit", "ipc"]
    })
    let [peak, before] = [0, 0]
    const watch = setInterval(() => (peak = Math.max(peak, peakOf(child.pid as number))), 10)
    child.on("message", (message: FromChild) => {
      if (message.type === "failed") console.error(message.error)
      if (message.type === "event" && message.event._tag === "Log" && before === 0) before = peakOf(child.pid as number)
    })
    child.on("error", failed)
    child.on("exit", () => {
      clearInterval(watch)
      done({ peak, before })
    })
    child.send({ type: "start", kind: "train", task })
  })

const folder = mkdtempSync(join(tmpdir(), "anneal-memory-"))
const mb = (bytes: number): string => (bytes / 1e6).toFixed(0)
const measure = async (each: Case, base: string, at: number): Promise<string> => {
  const work = join(folder, String(at))
  const config = Schema.decodeUnknownSync(TrainConfig)({ epochs: 1, maxSteps: 4, device: "cpu", ...each.config }) as TrainConfig
  const table = tokensOf(each, config.batchSize * config.gradientAccumulationSteps * (config.packing ? 8 : 4))
  const part = each.validation === true ? tokensOf(each, 8) : undefined
  const task = await trainTask({ folder: work, base, config, train: table, validation: part })
  const { model, weights } = await loadModel(base)
  const known = { kind: "known", train: rowSizes(table), ids: table.ids, validation: part && rowSizes(part) } as const
  const forecast = forecastOf(config, { model, weights, rows: known })
  const { peak, before } = await run(task)
  rmSync(work, { recursive: true })
  const parts = Object.entries(forecast).filter(([name, bytes]) => name !== "total" && bytes > 0)
  const off = `${forecast.total < peak ? "" : "+"}${((100 * (forecast.total - peak)) / peak).toFixed(1)} %`
  const mark = each.calibrates === true ? " (calibration)" : ""
  if (process.argv.includes("--parts")) console.log(parts.map(([name, bytes]) => `${name} ${mb(bytes)}`).join(", "), `before ${mb(before)}`)
  return `| ${each.name}${mark} | ${mb(forecast.total)} | ${mb(peak)} | ${off} |`
}

const filter = process.argv.slice(2).find((argument) => !argument.startsWith("--")) ?? ""
const chosen = cases.filter(({ name }) => name.includes(filter))
try {
  const bases = new Set<ShapeName>()
  console.log("| case | forecast MB | measured MB | difference |\n| --- | ---: | ---: | ---: |")
  for (const [at, each] of chosen.entries()) {
    const base = join(folder, each.model)
    if (!bases.has(each.model)) await writeBase(base, shapes[each.model])
    bases.add(each.model)
    console.log(await measure(each, base, at))
  }
} finally {
  rmSync(folder, { recursive: true })
}
