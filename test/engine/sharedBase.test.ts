// One base under several trainings: its files are read once for its digest, however many adapters are trained over it, then or later.
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeEach, expect, test, vi } from "vitest"
import { baseModel, pipeline } from "#src/engine/define.ts"
import { counting } from "./stages.ts"
import { bench } from "./support.ts"

const hashed = vi.hoisted((): string[] => [])
vi.mock(import("#src/store/digest.ts"), async (original) => {
  const module = await original()
  // A file this young would be read again at the next command, in case it changes within the clock's resolution.
  return { ...module, isSettled: () => true, hashFile: (path, sync) => (hashed.push(path), module.hashFile(path, sync)) }
})
beforeEach(() => void hashed.splice(0))

/** So many stages beside each other over one base. */
const over = (b: ReturnType<typeof bench>, count: number) =>
  pipeline("p", () => {
    const base = baseModel("base")
    for (let i = 0; i < count; i++) {
      const kind = counting(`train${i}`, { base: "base" }, async (context) => {
        writeFileSync(context.output("out"), `adapter ${i}`)
      })
      b.add(kind, { base }, { text: `${i}` })
    }
  })

test("two trainings read it once, a third one later not at all, and the store holds no copy of it", async () => {
  const b = bench()
  const folder = join(b.root, "base")
  mkdirSync(folder)
  for (const file of ["config.json", "model.safetensors"]) writeFileSync(join(folder, file), `the base's ${file}`)
  const reads = () => hashed.filter((path) => path === join(folder, "model.safetensors")).length

  await b.run(over(b, 2))
  expect(reads()).toBe(1)
  expect(b.ran().length).toBe(2)
  await b.run(over(b, 3))
  expect(reads()).toBe(1)
  expect(b.ran()).toEqual(["train2"])
  const objects = join(b.root, "artifacts", "objects")
  const stored = existsSync(objects) ? readdirSync(objects, { recursive: true }).map(String) : []
  expect(stored.length).toBeGreaterThan(0)
  expect(stored.some((name) => name.endsWith("model.safetensors"))).toBe(false)
})
