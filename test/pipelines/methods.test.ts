// The pipelines that compare training methods are the quickstart but for the training: `npm run methods` then compares like with like.
import { expect, test } from "vitest"
import type { PipelineDef } from "#src/domain/Pipeline.ts"
import full from "../../pipelines/full.ts"
import lora from "../../pipelines/lora.ts"
import prefix from "../../pipelines/prefix.ts"
import qlora from "../../pipelines/qlora.ts"
import quickstart from "../../pipelines/quickstart.ts"

const configs = ({ stages }: PipelineDef): Record<string, Readonly<Record<string, unknown>>> =>
  Object.fromEntries(stages.map(({ id, config }) => [id, config]))

const { train: schedule, register: _, ...same } = configs(quickstart)

test.each([
  [full, ["learningRate", "method"]],
  [lora, ["learningRate", "method"]],
  [qlora, ["learningRate", "method"]],
  [prefix, ["epochs", "learningRate", "method"]]
])("$id trains on the quickstart's tokens and is scored as it is", (pipeline, own) => {
  const { train, register: __, ...others } = configs(pipeline)
  expect(others).toEqual(same)
  const without = (config: object | undefined): object =>
    Object.fromEntries(Object.entries(config ?? {}).filter(([name]) => !own.includes(name)))
  expect(without(train)).toEqual(without(schedule))
  expect(train?.["method"]).toMatchObject({ type: pipeline.id })
})

test("qlora differs from lora in how the base is held, and in nothing else", () => {
  const { method, ...rest } = configs(qlora)["train"]!
  const { method: other, ...others } = configs(lora)["train"]!
  expect(rest).toEqual(others)
  expect(method).toEqual({ ...(other as object), type: "qlora" })
})
