// An optimizer step on several threads ends in the bytes of one on a single thread.
import { setTimeout } from "node:timers/promises"
import { MessageChannel, Worker } from "node:worker_threads"
import { afterAll, describe, expect, test } from "vitest"
import { type Optimizer, optimizerDefaults } from "#src/graph/optimizer.ts"
import { ParamStore } from "#src/runtime/ParamStore.ts"
import { sharesOf } from "#src/runtime/UpdateShares.ts"
import { signals, type Task, type ThreadInput, UpdateThread } from "#src/runtime/UpdateThread.ts"

// Enough for the threads to be worth it; pieces that are not whole, and a tensor of one value.
const shapes = [[700, 1024], [300_001], [1], [5, 7], [40_000], [33]]
const rates = { learningRate: 1e-3, weightDecay: 0.1 }
const stores: ParamStore[] = []
afterAll(() => Promise.all(stores.map((store) => store.release())))

const storeOf = (threads: number, optimizer: Optimizer, accumulates: boolean, anchored = false): ParamStore => {
  const specs = shapes.map((shape, i) => ({ name: `t${i}`, shape, decay: i % 2 === 0 }))
  const store = new ParamStore(specs, accumulates, anchored, optimizer, threads)
  store.trainables.forEach(({ p }, i) => p.forEach((_, k) => (p[k] = Math.sin(i + k))))
  store.anchor()
  stores.push(store)
  return store
}

/** Two steps; what the trainer sees of them. */
const trained = (store: ParamStore, accumulates: boolean) => {
  const seen: number[] = []
  for (let step = 1; step <= 2; step++) {
    for (const micro of accumulates ? [0, 1] : [0]) {
      store.trainables.forEach(({ g }, i) => g.forEach((_, k) => (g[k] = Math.cos(3 * i + k * step + micro) * 10 ** ((k % 7) - 3))))
      store.accumulate(micro === 0)
    }
    store.pull(0.1)
    // Whoever asks for the norm twice gets it twice.
    seen.push(
      store.gradNorm(),
      store.gradNorm(),
      store.update(() => rates, step, 0.5)
    )
  }
  return { seen, after: store.trainables.map(({ p, state }) => [p, ...state.map(({ data }) => data)]) }
}

describe.each([
  ["adamw", optimizerDefaults.adamw],
  ["lion", optimizerDefaults.lion],
  ["sgd with momentum", { ...optimizerDefaults.sgd, momentum: 0.9 }],
  ["adafactor", optimizerDefaults.adafactor]
] as const)("%s", (_, optimizer) => {
  test.each([
    ["one micro-batch a step", false, false],
    ["several", true, false],
    ["pulled to the initial weights", true, true]
  ] as const)("%s", (_what, accumulates, anchored) => {
    const expected = trained(storeOf(1, optimizer, accumulates, anchored), accumulates)
    for (const threads of [2, 3, 0]) expect(trained(storeOf(threads, optimizer, accumulates, anchored), accumulates)).toEqual(expected)
  })
})

const lost = { memory: 7, p: 0, g: 0, gradient: new Float32Array(16), state: [], scratch: 0, bytes: 64, shape: [16] }
const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })

test("a notice without a task, as one that comes late, is no failure of the thread", async () => {
  const control = new Int32Array(new SharedArrayBuffer(4 * Object.keys(signals).length))
  const { port1, port2 } = new MessageChannel()
  const input: ThreadInput = { memories: [], stages: [], slots: [], squares: [], optimizer: optimizerDefaults.sgd, control, port: port2 }
  const worker = new Worker(new URL("../../src/runtime/updateWorker.ts", import.meta.url), { workerData: input, transferList: [port2] })
  // The second one finds it asleep again: after the first it looked for a task.
  for (let notice = 0; notice < 2; notice++)
    while (Atomics.notify(control, signals.given) === 0 && Atomics.load(control, signals.failed) === 0) await setTimeout(1)
  port1.postMessage({ work: "squares" } satisfies Task)
  Atomics.add(control, signals.given, 1)
  Atomics.notify(control, signals.given)
  Atomics.wait(control, signals.made, 0)
  port1.close()
  await worker.terminate()
  expect([...control]).toEqual([1, 1, 0])
})

test.each([
  ["cannot start", [], []],
  ["fails at its task", [{ address: 64, elements: 16 }], [lost]]
])("a thread that %s is an error, not a wait without end", async (_, stages, slots) => {
  const squares = slots.map(() => new Float64Array(new SharedArrayBuffer(8)))
  const thread = new UpdateThread({ memories: [memory], stages, slots, squares, optimizer: optimizerDefaults.sgd })
  thread.give({ work: "squares" })
  for (let again = 0; again < 2; again++)
    expect(() => thread.wait()).toThrow(expect.objectContaining({ _tag: "BugError", message: "a thread of the optimizer step failed" }))
  await thread.end()
})

test("tensors go to who has least, the largest first", () => {
  expect(sharesOf([5, 1, 9, 4, 4], 2)).toEqual([
    [2, 4],
    [0, 1, 3]
  ])
  expect(sharesOf([1], 3)).toEqual([[0], [], []])
})
