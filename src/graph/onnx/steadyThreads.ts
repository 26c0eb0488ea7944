// With how many threads the CPU's products still round as with one. The runtime's float32 kernel (MLAS, lib/sgemm.cpp) gives each thread some of the result's
// columns where it has more columns than rows, and sums along K in steps that are longer for few columns: from 64 columns a thread on, more threads are other bits.
import type { Graph } from "../Graph.ts"
import { sizeOf } from "../Type.ts"
import type { Node } from "../Value.ts"
import { isTransposed } from "./transposedProduct.ts"

/** [m, k] times [k, n], so many of them beside each other. */
export interface Product {
  readonly m: number
  readonly n: number
  readonly k: number
  readonly batch: number
}

/** Columns are given out in blocks of so many. */
const block = 16

/** Values along K that are summed up before they are added to a result of so many columns. */
const stepOf = (columns: number, k: number): number => {
  let [wide, step] = [128, 128]
  while (columns < k && wide > block && wide / 2 >= columns) [wide, step] = [wide / 2, 2 * step]
  return Math.min(step, k)
}

/** Columns of the thread that has the fewest. */
const fewest = (n: number, threads: number): number => {
  const blocks = Math.ceil(n / block)
  return n - block * (blocks - Math.max(1, Math.floor(blocks / threads)))
}

export const isSteady = ({ m, n, k, batch }: Product, threads: number): boolean => {
  const each = Math.ceil(threads / batch)
  return n <= m || each === 1 || stepOf(fewest(n, each), k) === stepOf(n, k)
}

/** A product whose left matrix is read transposed has one step whatever its columns. */
const productOf = (node: Node): Product | undefined => {
  if (node.op !== "MatMul" && node.op !== "MatMulAdd") return undefined
  const { transA } = node.attributes as { readonly transA: boolean }
  if (transA && !(node.op === "MatMul" && isTransposed(node as Node<"MatMul">))) return undefined
  const [left, right] = node.inputs.map(({ shape }) => shape) as [readonly number[], readonly number[]]
  const size = sizeOf(node.outputs[0]!.shape)
  const [rows, n] = node.outputs[0]!.shape.slice(-2) as [number, number]
  const k = left.at(transA ? -2 : -1) as number
  // Batches times one matrix are one product of all rows.
  const m = right.length === 2 ? size / n : rows
  return { m, n, k, batch: size / (m * n) }
}

/** At most `threads`: as many as leave the bits of each of a graph's products as they are with one. */
export const steadyThreads = ({ nodes }: Graph, threads: number): number => {
  const products = nodes.flatMap((node) => productOf(node) ?? [])
  let steady = threads
  while (steady > 1 && !products.every((product) => isSteady(product, steady))) steady--
  return steady
}
