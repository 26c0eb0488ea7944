// The shard index: names inside the model folder only.
import { expect, test } from "vitest"
import { parseShardIndex } from "#src/formats/shardIndex.ts"

const parse = (shard: string) => parseShardIndex(JSON.stringify({ metadata: {}, weight_map: { "lm_head.weight": shard } }), "index.json")

test("a shard in the model folder is taken", () => {
  expect(parse("model-00001-of-00002.safetensors").get("lm_head.weight")).toBe("model-00001-of-00002.safetensors")
})

test.each([
  "../secret.safetensors",
  "/etc/model.safetensors",
  "a/../../b.safetensors",
  "..\\x.safetensors",
  "sub/x.safetensors",
  "pytorch_model.bin",
  ""
])("%o is refused", (shard) => {
  expect(() => parse(shard)).toThrow(/the shard of lm_head\.weight is/)
})

test("an index without weight_map is refused", () => {
  expect(() => parseShardIndex("{}", "index.json")).toThrow(/weight_map/)
})
