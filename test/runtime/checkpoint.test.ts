// Checkpoints come back bit by bit; torn, damaged and half-written ones are skipped for the one before.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { EnvironmentError } from "#src/domain/Errors.ts"
import { Checkpoints } from "#src/runtime/Checkpoint.ts"
import { ParamStore } from "#src/runtime/ParamStore.ts"
import { StepLog } from "#src/runtime/StepLog.ts"
import { afterStep, afterValidation, initialState, type TrainState } from "#src/runtime/TrainState.ts"

let folder = ""
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "anneal-checkpoint-"))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const owned = (): void => undefined
const newStore = (): ParamStore =>
  new ParamStore(
    [
      { name: "b.weight", shape: [3, 5], decay: true },
      { name: "a.bias", shape: [7], decay: false }
    ],
    false
  )
const filled = (seed: number): ParamStore => {
  const store = newStore()
  store.trainables.forEach(({ p, state }, i) =>
    [p, ...state.map(({ data }) => data)].forEach((array, k) => array.forEach((_, j) => (array[j] = Math.sin(seed + 10 * i + 3 * k + j))))
  )
  return store
}
/** As many steps as the state has. */
const logOf = ({ step }: TrainState): StepLog => {
  const log = new StepLog()
  for (let i = 0; i < step; i++) log.push({ loss: i / 3, gradNorm: Number.NaN, learningRate: 1 / (i + 1), tokens: i, relativeUpdate: 1e-3 })
  return log
}
const save = (checkpoints: Checkpoints, state: TrainState, { trainables }: ParamStore) => checkpoints.save(state, trainables, logOf(state))
const at = (step: number): TrainState => Array.from({ length: step }).reduce<TrainState>((state) => afterStep(state, 1.1, 3), initialState)
const damaged: string[] = []
const restore = (store: ParamStore, needsBest = false, log = new StepLog()): TrainState | undefined => {
  damaged.length = 0
  return new Checkpoints(folder, owned).restore(store.trainables, log, needsBest, (name) => damaged.push(name))
}
const flip = (file: string): void => {
  const bytes = readFileSync(file)
  const last = bytes.length - 9
  bytes[last] = (bytes[last] as number) ^ 1
  writeFileSync(file, bytes)
}

test("weights, moments and state come back exactly", () => {
  const store = filled(1)
  const state = afterValidation(at(4), 0.1 + 0.2, 0)
  save(new Checkpoints(folder, owned), state, store)
  const fresh = newStore()
  const log = new StepLog()
  expect(restore(fresh, false, log)).toEqual(state)
  expect(fresh.trainables).toEqual(store.trainables.map((was) => ({ ...was, g: new Float32Array(was.g.length) })))
  expect(log.bytes()).toEqual(logOf(state).bytes())
})

test("an empty folder has nothing to resume", () => {
  expect(restore(newStore())).toBeUndefined()
})

describe("a damaged newest checkpoint is skipped for the one before", () => {
  const damage: Record<string, (newest: string) => void> = {
    "a flipped bit in the weights": (newest) => flip(join(newest, "weights.safetensors")),
    "a flipped bit in the moments": (newest) => flip(join(newest, "optimizer.safetensors")),
    "a flipped bit in the state": (newest) => flip(join(newest, "state.json")),
    "a flipped bit in the log": (newest) => flip(join(newest, "log.f64")),
    "moments cut short": (newest) => truncateSync(join(newest, "optimizer.safetensors"), 100),
    "weights missing": (newest) => rmSync(join(newest, "weights.safetensors")),
    "state missing": (newest) => rmSync(join(newest, "state.json")),
    "an empty folder": (newest) => {
      rmSync(newest, { recursive: true })
      mkdirSync(newest)
    }
  }
  test.each(Object.keys(damage))("%s", (name) => {
    const checkpoints = new Checkpoints(folder, owned)
    save(checkpoints, at(1), filled(1))
    save(checkpoints, at(2), filled(2))
    damage[name]?.(join(folder, "step-2"))
    const store = newStore()
    expect(restore(store)?.step).toBe(1)
    expect(damaged).toEqual(["step-2"])
    expect(store.trainables[0]?.p).toEqual(filled(1).trainables[0]?.p)
  })
})

test("a half-written folder is not taken, and is cleared away", () => {
  save(new Checkpoints(folder, owned), at(1), filled(1))
  cpSync(join(folder, "step-1"), join(folder, "step-2.tmp"), { recursive: true })
  expect(restore(newStore())?.step).toBe(1)
  expect(readdirSync(folder)).toEqual(["step-1"])
})

test("a checkpoint whose best model is damaged is no use to a run that ends with the best model", () => {
  const checkpoints = new Checkpoints(folder, owned)
  const best = afterValidation(at(1), 2, 0)
  save(checkpoints, best, filled(1))
  save(checkpoints, afterStep(best, 1, 1), filled(2))
  flip(join(folder, "step-1", "weights.safetensors"))
  expect(restore(newStore(), false)?.step).toBe(2)
  expect(restore(newStore(), true)).toBeUndefined()
  expect(damaged).toEqual(["step-2", "step-1"])
})

test("a stale attempt writes nothing", () => {
  const stale = new Checkpoints(folder, () => {
    throw new EnvironmentError({ message: "another process has taken over this stage" })
  })
  expect(() => save(stale, at(1), filled(1))).toThrow(/taken over/)
  expect(existsSync(join(folder, "step-1"))).toBe(false)
})

test.each([
  [1, undefined, [9]],
  [2, undefined, [9, 7]],
  [2, 3, [9, 3]],
  [1, 3, [9, 3]],
  [3, 3, [9, 7, 3]],
  [2, 9, [9, 7]]
])("limit %i with best %s keeps %j", (limit, best, kept) => {
  const checkpoints = new Checkpoints(folder, owned)
  for (const step of [1, 3, 5, 7, 9]) save(checkpoints, at(step), filled(step))
  checkpoints.prune(limit, best)
  expect(readdirSync(folder).sort()).toEqual(kept.map((step) => `step-${step}`).sort())
})
