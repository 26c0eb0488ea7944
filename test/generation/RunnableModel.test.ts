// Model folders that cannot be run, and what is said of them.
import { rmSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, expect, test } from "vitest"
import { DataError } from "#src/domain/Errors.ts"
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

test("an adapter without anneal.json is refused, for nothing says what it is over", async () => {
  const { folder } = await tinyAdapter(base, 1)
  rmSync(join(folder, "anneal.json"))
  await expect(openModel(folder, unasked)).rejects.toMatchObject({ _tag: "DataError", where: folder })
})

test("what is wrong with an adapter's base is said as the finder says it", async () => {
  const { folder } = await tinyAdapter(base, 1)
  const gone = new DataError({ message: "gone" })
  await expect(openModel(folder, () => Promise.reject(gone))).rejects.toBe(gone)
})
