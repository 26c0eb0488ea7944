// Model folders that cannot be run, and what is said of them.
import { rmSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, expect, test } from "vitest"
import { DataError } from "#src/domain/Errors.ts"
import { probeDifference, probeLogits } from "#src/runtime/probe.ts"
import { openModel } from "#src/runtime/RunnableModel.ts"
import { tinyAdapter, tinyFull, tinyModelFolder } from "./tinyModel.ts"

let base: string
beforeAll(async () => {
  base = await tinyModelFolder(1)
})
const unasked = () => Promise.reject(new Error("no base is needed"))

test("a whole model needs no base, whether anneal trained it or not", async () => {
  expect((await openModel(base, unasked)).info).toBeUndefined()
  expect((await openModel(await tinyFull(base, 2), unasked)).info?.method).toBe("full")
})

test("an adapter without anneal.json: the finder is asked with what adapter_config.json says, the base's texts are used", async () => {
  const { folder } = await tinyAdapter(base, 1)
  const merged = await openModel(folder, () => Promise.resolve(base))
  for (const file of ["anneal.json", "config.json", "tokenizer.json"]) rmSync(join(folder, file))
  const asked: unknown[] = []
  const opened = await openModel(folder, (...given) => {
    asked.push(given)
    return Promise.resolve(base)
  })
  expect(asked).toEqual([[undefined, base]])
  expect(opened).toMatchObject({ info: undefined, textFolder: base })
  const inputs = ({ parameters }: typeof opened) => parameters.map((each) => each.inputs)
  expect(inputs(opened)).toEqual(inputs(merged))
})

test("an adapter opened apart computes what it computes merged", async () => {
  const { folder } = await tinyAdapter(base, 1)
  const find = () => Promise.resolve(base)
  const [apart, merged] = [await openModel(folder, find, { merged: false }), await openModel(folder, find)]
  expect([apart.adapter, merged.adapter]).toEqual([expect.anything(), undefined])
  const { vocabSize } = merged.model
  const difference = probeDifference(await probeLogits(apart, 1), await probeLogits(merged, 1), vocabSize)
  expect(difference).toMatchObject({ tokens: 12, sameChoice: 12 })
  expect(difference.largest).toBeLessThan(1e-4)
  const plain = await probeLogits(await openModel(base, unasked), 1)
  expect(probeDifference(plain, await probeLogits(merged, 1), vocabSize).largest).toBeGreaterThan(0.01)
})

test("what is wrong with an adapter's base is said as the finder says it", async () => {
  const { folder } = await tinyAdapter(base, 1)
  const gone = new DataError({ message: "gone" })
  await expect(openModel(folder, () => Promise.reject(gone))).rejects.toBe(gone)
})
