// Version numbers count up, one for each registration, whoever asks.
import { Worker } from "node:worker_threads"
import { expect, test } from "vitest"
import { reserveVersion } from "#src/store/Registry.ts"
import { temporaryStore } from "./support.ts"

test("1, 2, 3 by name; the same registration gets its number again", () => {
  const store = temporaryStore()
  expect([reserveVersion(store, "support", "k1"), reserveVersion(store, "support", "k2"), reserveVersion(store, "other", "k3")]).toEqual([
    1, 2, 1
  ])
  expect(reserveVersion(store, "support", "k1")).toBe(1)
  expect(reserveVersion(store, "support", "k4")).toBe(3)
})

test("two at once never get the same number", async () => {
  const store = temporaryStore()
  const code = `import { reserveVersion } from ${JSON.stringify(new URL("../../src/store/Registry.ts", import.meta.url).href)}
    import { parentPort, workerData } from "node:worker_threads"
    parentPort.postMessage(Array.from({ length: 20 }, (_, i) => reserveVersion({ registry: workerData.registry }, "m", workerData.id + i)))`
  const from = (id: string): Promise<readonly number[]> =>
    new Promise((resolve, reject) => {
      const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`)
      const worker = new Worker(url, { workerData: { registry: store.registry, id } })
      worker.once("message", resolve).once("error", reject)
    })
  const numbers = (await Promise.all([from("a"), from("b")])).flat()
  expect([...numbers].sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1))
})
