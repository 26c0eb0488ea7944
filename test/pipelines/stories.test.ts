// The stories pipeline on the real pretrained model and the real data, a few steps each: both branches beat the untouched model.
import { expect, test } from "vitest"
import { hasShared, shared } from "../shared.ts"
import { stagesOf, withPipelines } from "./runs.ts"

test.skipIf(!hasShared)(
  "both branches run and lower the loss (skipped where ../shared/data is missing)",
  { timeout: 300_000 },
  async () => {
    const workspace = withPipelines()
    const set = {
      "base.path": shared("data/stories260k/hf"),
      "sms.from": shared("data/sms-spam/SMSSpamCollection.tsv"),
      "sms.limit": 200,
      "sms-train.maxSteps": 20,
      "maths.from": shared("data/gsm8k/train.jsonl"),
      "maths.limit": 200,
      "maths-train.maxSteps": 20
    }
    const flags = Object.entries(set).flatMap(([path, value]) => ["--set", `${path}=${value}`])
    const result = await workspace.anneal("run", "stories", "--name", "short", "--threads", "1", ...flags)
    expect(result).toMatchObject({ code: 0 })
    const stages = await stagesOf(workspace, "short")
    for (const id of ["sms-evaluate", "maths-evaluate"]) {
      const { perplexity, "baseline.perplexity": before } = stages[id]?.metrics ?? {}
      expect(perplexity, id).toBeLessThan(before as number)
    }
    // The data's README states 4.9741 nats for 50 other texts of gsm8k.
    expect(Math.log(stages["maths-evaluate"]?.metrics["baseline.perplexity"] as number)).toBeCloseTo(4.97, 0)
  }
)

test("without the model's folder the error says what to type", async () => {
  const { anneal } = withPipelines()
  const data = ["--set", "sms.from=pipelines/data/rows.jsonl", "--set", "maths.from=pipelines/data/rows.jsonl"]
  const result = await anneal("run", "stories", ...data)
  expect(result.code).toBe(2)
  expect(result.stderr).toContain("--set base.path=")
})
