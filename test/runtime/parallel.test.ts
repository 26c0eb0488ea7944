// The order in which a data parallel step is asked for, and what happens to a share that is given up.
import { closeSync, readdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { expect, test } from "vitest"
import { ParamStore } from "#src/runtime/ParamStore.ts"
import { Exchange, openExchange } from "#src/runtime/parallel/Exchange.ts"
import { parallelLearner } from "#src/runtime/parallel/parallelLearner.ts"
import type { Share, ToReplica } from "#src/runtime/parallel/protocol.ts"
import type { Learner } from "#src/runtime/Learner.ts"

const none = { targets: new Int32Array(), lengths: new Int32Array() } as unknown as Learner["sizes"]
const storeOf = (): ParamStore =>
  new ParamStore(
    [
      { name: "a", shape: [3], decay: true },
      { name: "b", shape: [2, 2], decay: true }
    ],
    true
  )

/** A replica that computes when it is asked for a result, one gradient at a time; the loss of item i of step s is 100 s + i. */
const fakeReplica = (said: string[], name: string) => {
  const queue: number[] = []
  let full = false
  return {
    send: (message: ToReplica): void => {
      said.push(message.type === "taken" ? `${name} taken` : `${name} ${message.type} ${(message as Share).items.join()}`)
      if (message.type === "taken") full = false
      else if (message.type === "gradients") queue.push(...message.items.map((item) => 100 * message.step + item))
      else if (message.type === "losses") queue.push(...message.items)
    },
    next: async () => {
      const loss = queue.shift()
      if (loss === undefined || full) throw new Error(`${name} would wait forever`)
      full = loss >= 100
      return { type: "result", item: loss % 100, loss, memory: { rss: 100 + loss, peakRss: 2000 } } as const
    }
  }
}

const setUp = () => {
  const said: string[] = []
  const own: Learner = {
    store: storeOf(),
    sizes: none,
    gradients: async ([item = 0], _, step) => {
      said.push(`own ${item}`)
      return 100 * step + item
    },
    validation: { sizes: none, batches: [[0], [1], [2], [3]], loss: async ([item = 0]) => item }
  }
  const exchange = { writeWeights: () => said.push("weights"), readGradients: (region: number) => said.push(`read ${region}`) }
  return { said, learner: parallelLearner(own, [fakeReplica(said, "one"), fakeReplica(said, "two")], exchange as never) }
}
const groupOf = (items: number): readonly (readonly number[])[] => Array.from({ length: items }, (_, item) => [item])

test("items are asked for in their order, each of its worker; a last group may be smaller than the workers", async () => {
  const { said, learner } = setUp()
  for (const [step, items] of [
    [1, 5],
    [2, 2],
    [3, 1]
  ] as const) {
    const group = groupOf(items)
    await learner.begin?.(group, 1, step)
    for (const [item, members] of group.entries()) expect(await learner.gradients(members, 1, step)).toBe(100 * step + item)
  }
  expect(said).toEqual([
    ...[
      "weights",
      "one gradients 1,4",
      "two gradients 2",
      "own 0",
      "read 1",
      "one taken",
      "read 2",
      "two taken",
      "own 3",
      "read 1",
      "one taken"
    ],
    ...["weights", "one gradients 1", "own 0", "read 1", "one taken", "weights", "own 0"]
  ])
})

test("a step or a validation that is given up leaves nothing behind", async () => {
  const { learner } = setUp()
  await learner.begin?.(groupOf(6), 1, 1)
  await learner.gradients([0], 1, 1)
  await learner.gradients([1], 1, 1)
  const validation = learner.validation as NonNullable<Learner["validation"]>
  for (const stopAt of [2, 4]) {
    for (const [item, members] of validation.batches.slice(0, stopAt).entries()) expect(await validation.loss(members)).toBe(item)
  }
  await learner.begin?.(groupOf(3), 1, 2)
  for (const item of [0, 1, 2]) expect(await learner.gradients([item], 1, 2)).toBe(200 + item)
})

test("the memory of the replicas is what each said last", async () => {
  const { learner } = setUp()
  expect(learner.memoryElsewhere?.()).toEqual({ rss: 0, peakRss: 0 })
  await learner.begin?.(groupOf(5), 1, 1)
  for (const item of [0, 1, 2, 3, 4]) await learner.gradients([item], 1, 1)
  // The first computed item 1, then 4; the second item 2.
  expect(learner.memoryElsewhere?.()).toEqual({ rss: 200 + 104 + 102, peakRss: 4000 })
})

test("the exchange moves weights and gradients bit by bit and has no name", () => {
  const before = readdirSync("/dev/shm").filter((name) => name.startsWith("anneal-exchange"))
  const [here, there] = [storeOf(), storeOf()]
  const fd = openExchange(here.trainables, 2, tmpdir())
  expect(readdirSync("/dev/shm").filter((name) => name.startsWith("anneal-exchange"))).toEqual(before)
  const [sender, receiver] = [new Exchange(fd, here.trainables), new Exchange(fd, there.trainables)]
  here.trainables.forEach(({ p, g }, tensor) => {
    p.forEach((_, i) => (p[i] = Math.sin(tensor + i)))
    g.forEach((_, i) => (g[i] = -Math.cos(tensor + i)))
  })
  sender.writeWeights()
  sender.writeGradients(2)
  receiver.readWeights()
  receiver.readGradients(2)
  here.trainables.forEach(({ p, g }, tensor) => {
    expect(there.trainables[tensor]?.p).toEqual(p)
    expect(there.trainables[tensor]?.g).toEqual(g)
  })
  receiver.readGradients(1)
  expect(there.trainables.every(({ g }) => g.every((x) => x === 0))).toBe(true)
  closeSync(fd)
})

test("an exchange for which there is no room is refused with what to do", () => {
  const huge = [{ p: { byteLength: 2 ** 60 } }] as never
  expect(() => openExchange(huge, 1, "/nowhere/at/all")).toThrow(/no room/)
})
