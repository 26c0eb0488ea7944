// The forecast in the stage: a line before the work, and the refusal of what does not fit, with settings that would.
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { rowSizes } from "#src/batching/rows.ts"
import type { DefinitionError } from "#src/domain/Errors.ts"
import type { StageEvent } from "#src/domain/RunEvent.ts"
import { loadConfig } from "#src/models/load.ts"
import { forecastOf, type Subject } from "#stages/train/forecast.ts"
import { bytesOfLimit, fittingSettings, limitOf, machineLimit } from "#stages/train/memoryLimit.ts"
import { threadsOf, totalThreads } from "#stages/train/share.ts"
import { executionOnly, TrainConfig } from "#stages/train/stage.ts"
import { makeWorkspace, runHere, taskIn, tokensTable } from "./workspace.ts"

const long = (() => {
  const [rows, length] = [32, 200]
  const tokens = Int32Array.from({ length: rows * length }, (_, i) => i % 60)
  const offsets = Int32Array.from({ length: rows + 1 }, (_, row) => row * length)
  return { ...tokensTable(rows, 1), offsets, tokens, mask: new Uint8Array(tokens.length).fill(1) }
})()
const workspace = await makeWorkspace(long, null)
afterAll(workspace.clear)
const base = workspace.inputs["base"]!.path
const larger = {
  ...{ model_type: "llama", vocab_size: 500, hidden_size: 128, intermediate_size: 256, num_hidden_layers: 4, num_attention_heads: 4 },
  ...{ max_position_embeddings: 256, rms_norm_eps: 1e-5, tie_word_embeddings: true }
}
writeFileSync(join(base, "config.json"), JSON.stringify(larger))
const options = { initialWeights: "random", batchSize: 32, maxSteps: 1 } as const
const subject: Subject = { model: await loadConfig(base), rows: { kind: "known", train: rowSizes(long), ids: long.ids } }

const refusal = async (
  memoryLimit: string | number
): Promise<{ readonly error: DefinitionError; readonly events: readonly StageEvent[] }> => {
  const events: StageEvent[] = []
  const task = taskIn(workspace, `limit-${memoryLimit}`, { ...options, memoryLimit })
  const error = await runHere(task, () => false, events).then(
    () => undefined,
    (thrown: unknown) => thrown as DefinitionError
  )
  return { error: error as DefinitionError, events }
}

test("threads of the stage stand above those of the run, are shared by the workers, and stand in no key", () => {
  const own = taskIn(workspace, "threads", { threads: 6 }).config
  expect([totalThreads(own, 2), totalThreads(taskIn(workspace, "none", {}).config, 2)]).toEqual([6, 2])
  expect(threadsOf(totalThreads(own, 2), 3)).toBe(2)
  expect(executionOnly).toContain("threads")
})

describe("memoryLimit", () => {
  const { config } = taskIn(workspace, "whole", options)
  const whole = forecastOf(config, subject).total

  test("what does not fit is refused by three settings that do, each with its own forecast", async () => {
    const limit = Math.round(0.85 * whole)
    const { error, events } = await refusal(limit)
    expect(error).toMatchObject({ _tag: "DefinitionError", where: "train.memoryLimit" })
    expect(error.message).toMatch(/would take about \d+\.\d MB of memory, memoryLimit is \d+\.\d MB/)
    const settings = [...error.hint!.replace("would fit: ", "").matchAll(/([a-zA-Z]+: [^;>]+) -> ([\d.]+) MB/g)]
    expect(settings.map(([, text]) => text)).toEqual([
      "batchSize: 16 with gradientAccumulationSteps: 2",
      "gradientCheckpointing: true",
      "method: lora(), gradientCheckpointing: true"
    ])
    for (const [, , figure] of settings) expect(Number(figure) * 1e6).toBeLessThanOrEqual(limit)
    const halved = forecastOf({ ...config, batchSize: 16, gradientAccumulationSteps: 2 }, subject).total
    expect(settings[0]![2]).toBe((halved / 1e6).toFixed(1))
    // It ended before the weights: nothing was said after the forecast.
    expect(events.map((event) => (event._tag === "Log" ? event.text.slice(0, 9) : event._tag))).toEqual(["forecast:"])
  })

  test("a method is named where nothing gentler is enough, and where too little fits that is said", async () => {
    const smallest = forecastOf({ ...config, batchSize: 1, gradientAccumulationSteps: 32, gradientCheckpointing: true }, subject).total
    const few = fittingSettings(config, subject, smallest + 1e5, true)
    expect(few.map(({ text }) => text.slice(0, 40))).toEqual(["gradientCheckpointing: true, batchSize: "])
    for (const { total } of few) expect(total).toBeLessThanOrEqual(smallest + 1e5)
    expect((await refusal("1MB")).error.hint).toMatch(/none of the settings/)
    const wide = { ...subject, model: await loadConfig(base) }
    const methods = fittingSettings({ ...config, batchSize: 1, gradientCheckpointing: true }, wide, whole)
    expect(methods.map(({ text }) => text)).toEqual(["method: lora()", "method: qlora()"])
    expect(fittingSettings({ ...config, batchSize: 1, gradientCheckpointing: true }, wide, whole, true)).toEqual([])
  })

  test("what fits is trained, and the line says what takes how much", async () => {
    const events: StageEvent[] = []
    await runHere(taskIn(workspace, "fits", { ...options, batchSize: 4, maxSteps: 3, memoryLimit: "4GB" }), () => false, events)
    const lines = events.flatMap((event) => (event._tag === "Log" ? [event.text] : []))
    expect(lines[0]).toMatch(/^forecast: [\d.]+ MB \(weights \d+, .*activations \d+, .*process \d+\)$/)
    expect(lines.find((line) => line.includes("per step"))).toMatch(/^forecast: [\d.]+s per step, [\d.]+s for the other 1 steps$/)
  })

  test("limits are read as people write them, stand in no key, and default to the machine's", () => {
    expect(["8GB", "1.5 GiB", "500MB", "100 B", 7].map(bytesOfLimit)).toEqual([8e9, 1.5 * 2 ** 30, 5e8, 100, 7])
    expect(() => taskIn(workspace, "bad", { memoryLimit: "lots" })).toThrow(/memoryLimit/)
    expect(executionOnly).toContain("memoryLimit")
    expect(Object.keys(TrainConfig.fields)).toContain("memoryLimit")
    expect(machineLimit()).toBeGreaterThan(1e8)
    expect(limitOf({ memoryLimit: "2GB" })).toEqual({ bytes: 2e9, own: true })
    expect(limitOf({})).toEqual({ bytes: machineLimit(), own: false })
  })
})
