// The host's side of blocks (blocks.ts): the store's weights and optimizer state as they are sent to a device with each run, and come back.
import type { Block } from "./blocks.ts"
import type { ParamStore } from "./ParamStore.ts"
import { stateName } from "./stateGraphs.ts"

/** Bytes of weights and optimizer state that go to the device and back with each run. */
export const stateBytes = ({ trainables }: ParamStore): number =>
  trainables.reduce((sum, { p, state }) => state.reduce((bytes, { data }) => bytes + data.byteLength, sum + p.byteLength), 0)

/** The way there and back of 16 MiB takes about 16 ms: so much of it falls to a step. At most 64, since reports and a stop wait for the end of a run. */
export const stepsFor = (store: ParamStore): number => Math.min(64, Math.max(8, Math.ceil(stateBytes(store) / 2 ** 24)))

/** A tensor that the loop hands on, as it is fed: the store's own array, or those of several tensors one after the other. */
export interface HeldState {
  readonly name: string
  readonly all: Float32Array
  readonly parts: readonly { readonly data: Float32Array; readonly at: number }[] | undefined
}

const heldAs = (name: string, arrays: readonly Float32Array[]): HeldState => {
  if (arrays.length === 1) return { name, all: arrays[0] as Float32Array, parts: undefined }
  const ends = arrays.reduce<readonly number[]>((all, { length }) => [...all, (all.at(-1) ?? 0) + length], [])
  const parts = arrays.map((data, i) => ({ data, at: (ends[i] as number) - data.length }))
  return { name, all: new Float32Array(ends.at(-1) ?? 0), parts }
}

/** Weights and optimizer state of each block. */
export const statesOf = ({ trainables }: ParamStore, blocks: readonly Block[]): readonly HeldState[] => {
  const byName = new Map(trainables.map((trainable) => [trainable.name, trainable]))
  return blocks.flatMap(({ name, tensors }) => {
    const held = tensors.map((tensor) => byName.get(tensor.name)!)
    return [
      heldAs(
        stateName("p", name),
        held.map(({ p }) => p)
      ),
      ...held[0]!.state.map(({ key }, k) =>
        heldAs(
          stateName(key, name),
          held.map(({ state }) => state[k]!.data)
        )
      )
    ]
  })
}

/** The initial weights of each block, by input. */
export const anchorsOf = (store: ParamStore, blocks: readonly Block[]): readonly (readonly [string, Float32Array])[] => {
  const anchors = store.initial()!
  const byName = new Map(store.trainables.map(({ name }, i) => [name, anchors[i]!]))
  return blocks.map(({ name, tensors }) => {
    const { all, parts } = heldAs(
      name,
      tensors.map((tensor) => byName.get(tensor.name)!)
    )
    fillBlocks([{ name, all, parts }])
    return [stateName("p0", name), all]
  })
}

/** Brings the blocks' arrays to what the store holds. */
export const fillBlocks = (states: readonly HeldState[]): void => {
  for (const { all, parts } of states) parts?.forEach(({ data, at }) => all.set(data, at))
}

/** Brings the store to what a block became. */
export const spreadBlock = ({ all, parts }: HeldState, values: Float32Array): void => {
  if (parts === undefined) all.set(values)
  else for (const { data, at } of parts) data.set(values.subarray(at, at + data.length))
}
