// What an optimizer step does with one trained tensor by the kernels, in this thread or another one (UpdateThread.ts).
import type { Kernels } from "./kernels/load.ts"
import { padded, type Stage } from "./SharedArrays.ts"
import type { Place } from "./updateTensor.ts"

/** Where a tensor and its optimizer state lie: byte addresses in one of the store's memories, and the gradient outside of them. */
export interface SlotAddress {
  readonly memory: number
  readonly p: number
  /** The step's gradient, where it is a sum or is pulled; else the one micro-batch's is brought to the stage, a piece at a time. */
  readonly g: number | undefined
  /** Of a micro-batch, shared between threads. */
  readonly gradient: Float32Array
  /** As `stateOf` lists it. */
  readonly state: readonly number[]
  readonly scratch: number
  /** Of p, with its padding. */
  readonly bytes: number
  readonly shape: readonly number[]
}

/** A memory as one thread reaches it. */
export interface Reach {
  readonly kernels: Kernels
  readonly stage: Stage
}

/** The tensor with the step's gradient where the kernels reach it: all at once, or a piece at a time in the stage. */
export function* piecesOf(slot: SlotAddress, { kernels, stage }: Reach): Generator<Place> {
  const { p, g, gradient, state, scratch, bytes, shape } = slot
  if (g !== undefined) return void (yield { kernels, p, g, state, scratch, bytes, shape })
  for (const { at, bytes } of staged(gradient, stage)) {
    yield { kernels, p: p + at, g: stage.address, state: at === 0 ? state : state.map((address) => address + at), scratch, bytes, shape }
  }
}

/** How many `piecesOf` gives. */
export const countPieces = ({ g, shape }: SlotAddress, { stage }: Reach): number =>
  g === undefined ? Math.ceil(shape.reduce((product, n) => product * n, 1) / stage.data.length) : 1

/** The sum of squares of each piece, in their order. */
export const squaresOf = (slot: SlotAddress, reach: Reach, into: Float64Array): void => {
  let at = 0
  for (const { kernels, g, bytes } of piecesOf(slot, reach)) into[at++] = kernels.sumSquares(g, bytes)
}

/** Brings `source` to the stage, one piece after the other: `at` bytes from its beginning, `bytes` with its padding of zeros. */
export function* staged(source: Float32Array, { data }: Stage): Generator<{ readonly at: number; readonly bytes: number }> {
  // Buffer's copy: into shared memory an array's own moves a word at a time, half as fast.
  const [from, to] = [bytesOf(source), bytesOf(data)]
  for (let at = 0; at < from.length; at += to.length) {
    const copied = from.copy(to, 0, at, at + to.length)
    const bytes = padded(copied / 4)
    to.fill(0, copied, bytes)
    yield { at, bytes }
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer => Buffer.from(buffer, byteOffset, byteLength)
