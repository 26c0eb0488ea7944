// What a table of a device's kernels says of an op.
import type { DType } from "../../Type.ts"

export interface Kernel {
  /** The op's version in the opset of the graphs. */
  readonly since: number
  /** Versions that the kernel is registered for; without `to` it holds for `from` alone, until it is registered anew. */
  readonly from: number
  readonly to?: number
  /** Element types that it computes in: those of its data. */
  readonly types: readonly DType[]
  /** Of its result, where that has a type of its own. */
  readonly results?: readonly DType[]
}

/** By op; those of another domain than ONNX's with it in front. */
export type KernelTable = Readonly<Record<string, Kernel>>
