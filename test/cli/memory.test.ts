// `anneal plan --memory` and what is "auto", as a user meets them: before anything has run, after, and where it cannot be told.
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import type { PlannedStage } from "#src/domain/RunEvent.ts"
import type { StageMemory } from "#src/cli/planMemory.ts"
import { makeWorkspace, type Workspace } from "./cli.ts"
import { makeRoad } from "./real.ts"

interface Plan {
  readonly stages: readonly PlannedStage[]
  readonly memory: readonly StageMemory[]
}

const planOf = async ({ anneal }: Workspace, ...args: readonly string[]): Promise<Plan & { readonly train: PlannedStage }> => {
  const { stdout, code, stderr } = await anneal("plan", "road", "--json", ...args)
  expect([code, stderr.includes("✘")]).toEqual([0, false])
  const plan = JSON.parse(stdout) as Plan
  return { ...plan, train: plan.stages.find(({ kind }) => kind === "train") as PlannedStage }
}
const told = ({ memory }: Plan): Extract<StageMemory, { readonly fits: boolean }> => memory[0] as never
const batch = (text: string): readonly string[] => ["--set", "train.batchSize=auto", "--set", `train.memoryLimit=${text}`]

describe("plan --memory", () => {
  test("from the bound before format has run, from the rows after; the parts add up; nothing is written", async () => {
    const road = await makeRoad()
    const before = told(await planOf(road, "--memory"))
    expect(before).toMatchObject({
      stage: "train",
      rows: { kind: "bound", maxLength: 64 },
      fits: true,
      settings: [],
      limit: { own: false }
    })
    const { total, ...parts } = before.bytes
    expect(Object.values(parts).reduce((sum, bytes) => sum + bytes, 0)).toBe(total)
    expect(() => road.runs()).toThrow(/ENOENT/)

    const text = await road.anneal("plan", "road", "--memory")
    expect(text.stdout).toMatch(/train {2}\d+\.\d MB of \d+\.\d GB \(this machine\): fits\n {2}at most: .*64 tokens \(maxLength/)
    expect(text.stdout).toMatch(/activations +\d.*\n(.*\n)* {2}total +\d/)

    expect((await road.anneal("run", "road", "format")).code).toBe(0)
    const after = told(await planOf(road, "--memory"))
    expect(after.rows).toEqual({ kind: "known", train: expect.any(Number) as number, validation: 4 })
    expect(after.bytes.total).toBeLessThan(total)
    expect((await road.anneal("plan", "road", "--memory")).stdout).toMatch(/from the stored rows: \d+ rows to train on, 4 to validate with/)
    // Rows that would be made anew are bounded again.
    expect(told(await planOf(road, "--memory", "--set", "format.maxLength=60")).rows).toEqual({ kind: "bound", maxLength: 60 })
  })

  test("what does not fit names settings that do, and exit code 0: it is a question", async () => {
    const road = await makeRoad()
    const { bytes, limit, fits, settings } = told(await planOf(road, "--memory", "--set", "train.memoryLimit=159MB"))
    expect([fits, limit]).toEqual([false, { bytes: 159e6, own: true }])
    expect(bytes.total).toBeGreaterThan(159e6)
    const roomy = await planOf(road, "--memory", "--set", `train.memoryLimit=${Math.round(bytes.total - 1e6)}`)
    expect(settings).toEqual([])
    expect(told(roomy).settings.length).toBeGreaterThan(0)
    for (const { total } of told(roomy).settings) expect(total).toBeLessThanOrEqual(bytes.total - 1e6)
    const { stdout } = await road.anneal("plan", "road", "--memory", "--set", `train.memoryLimit=${Math.round(bytes.total - 1e6)}`)
    expect(stdout).toMatch(
      /\(memoryLimit\): does not fit\n.*\n.*would fit: batchSize: \d+ with gradientAccumulationSteps: \d+ -> \d+\.\d MB/
    )
  })

  test("where it cannot be told it says why", async () => {
    const road = await makeRoad()
    writeFileSync(join(road.root, "base/config.json"), '{"model_type":"mamba"}')
    expect((await planOf(road, "--memory")).memory).toEqual([
      { stage: "train", unknown: expect.objectContaining({ message: expect.stringContaining("mamba") as string }) as unknown }
    ])
    const { stdout } = await road.anneal("plan", "road", "--memory", "--set", "train.device=webgpu")
    expect(stdout).toMatch(/train {2}cannot be told: the memory of a training on webgpu is not forecast\n {2}try: /)
    // Stages that are left out are not asked.
    expect((await road.anneal("plan", "road", "format", "--memory")).stdout).toContain("none of these stages trains")
  })

  test("rubbish is refused", async () => {
    const { anneal } = await makeRoad()
    expect(await anneal("plan", "road", "--memory", "--mermaid")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--memory and --mermaid do not go together") as string
    })
    for (const [set, says] of [
      ["train.memoryLimit=lots", /memoryLimit: expected .*"lots"/],
      ["train.batchSize=most", /batchSize: expected .*"most"/],
      ["train.batchSize=0", /batchSize: expected .*0/],
      ["train.threads=0", /threads: expected .*0/],
      ["train.device=gpu", /device: expected .*"gpu"/]
    ] as const) {
      const { code, stderr } = await anneal("plan", "road", "--memory", "--set", set)
      expect([set, code]).toEqual([set, 2])
      expect(stderr).toMatch(says)
    }
    expect((await makeWorkspace().anneal("plan", "small", "--memory")).stdout).toContain("none of these stages trains")
  })
})

describe("auto", () => {
  test("the batch size is settled from the limit, and the same size is the same key, however it came about", async () => {
    const road = await makeRoad()
    const large = await planOf(road, ...batch("1TB"))
    expect(large.train.auto).toEqual({ batchSize: 32, device: "cpu" })
    const small = await planOf(road, ...batch("1MB"))
    expect(small.train.auto).toEqual({ batchSize: 1, device: "cpu" })
    expect((await road.anneal("plan", "road", ...batch("1MB"))).stderr).toMatch(/! train: batchSize is 1, and .*might still not fit/)

    expect((await road.anneal("run", "road", "train", ...batch("1TB"))).code).toBe(0)
    const other = await planOf(road, ...batch("2TB"))
    const written = await planOf(road, "--set", "train.batchSize=32", "--set", "train.device=cpu", "--set", "train.threads=1")
    expect([other.train.decision, written.train.decision]).toEqual(["reuse", "reuse"])
    expect(other.train.key).toBe(written.train.key)
    expect(written.train).not.toHaveProperty("auto")
    expect(await planOf(road, "--memory", ...batch("1MB"))).toMatchObject({
      train: { decision: "run", reason: { field: "config.batchSize", from: 32, to: 1 } },
      memory: [{ rows: { kind: "known" }, fits: false }]
    })
  })

  test("plan, why, show and doctor say what was chosen", async () => {
    const road = await makeRoad()
    const set = batch("1TB")
    expect((await road.anneal("plan", "road", ...set)).stdout).toContain(
      "train.batchSize 32 (auto), train.device cpu (auto), evaluate.device cpu (auto)"
    )
    const ran = await road.anneal("run", "road", "train", ...set)
    expect(ran.code).toBe(0)
    expect(ran.stdout + ran.stderr).toMatch(/^  train +batchSize 32 \(auto\), device cpu \(auto\)$/m)
    expect((await road.anneal("show", "latest")).stdout).toContain("  train.batchSize 32 (auto), train.device cpu (auto)\n")
    const shown = JSON.parse((await road.anneal("show", "latest", "--json")).stdout) as { readonly stages: readonly { auto: object }[] }
    expect(shown.stages.at(-1)?.auto).toEqual({ batchSize: 32, device: "cpu" })
    expect((await road.anneal("why", "latest", "train")).stdout).toContain("  batchSize 32 (auto), device cpu (auto)\n")
    const changed = await road.anneal("why", "road", "train", ...batch("1MB"))
    expect(changed.stdout).toContain("  batchSize 1 (auto), device cpu (auto)\n")
    expect(changed.stdout).toContain("train.batchSize 32 -> 1")
    const doctor = await road.anneal("doctor")
    expect(doctor.stdout).toMatch(/device: "auto" is cpu: /)
  })

  test("it is refused where tokens of a stage of one's own may be of any length; a number helps", async () => {
    const road = await makeRoad()
    road.write(
      "stages/own.ts",
      `import { copyFileSync } from "node:fs"
import { defineStage, Schema } from "anneal"
export const same = defineStage({ kind: "same", version: 1, config: Schema.Struct({}), inputs: { tokens: "tokens" }, outputs: { tokens: "tokens" },
  run: async (context) => (copyFileSync(context.inputs.tokens.path, context.output("tokens")), {}) })
`
    )
    const file = join(road.root, "pipelines/road.mjs")
    const script = readFileSync(file, "utf8")
      .replace("const model = train({ tokens, base }", "const model = train({ tokens: { train: same({ tokens: tokens.train }) }, base }")
      .replace("export default", 'import { same } from "../stages/own.ts"\nexport default')
    writeFileSync(file, script)
    const refused = await road.anneal("plan", "road", "--set", "train.batchSize=auto")
    expect(refused.code).toBe(2)
    expect(refused.stderr).toMatch(/batchSize "auto" needs to know how long a row may be/)
    expect(refused.stderr).toMatch(/same, which is no format stage/)
    expect((await planOf(road, "--memory")).memory).toEqual([
      {
        stage: "train",
        unknown: expect.objectContaining({
          message: "how long a row may be is not known yet",
          hint: "run it first: anneal run <pipeline> same"
        }) as unknown
      }
    ])
    expect((await road.anneal("run", "road", "same")).code).toBe(0)
    expect(told(await planOf(road, "--memory")).rows.kind).toBe("known")
    rmSync(join(road.root, "base/config.json"))
    expect((await planOf(road, "--memory")).memory[0]).toHaveProperty("unknown")
  })
})
