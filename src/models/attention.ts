// Attention as all families share it: who sees whom (causal, sliding window, packed documents, cached places, a prefix) and
// the grouped-query product itself. What differs, biases, norms of queries and keys, rotations, stays in the families' files.
import { add, equal, greater, sub, where } from "#src/graph/ops/elementwise.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import { softmax } from "#src/graph/ops/nn.ts"
import { concat, expand, reshape, slice, split, transpose } from "#src/graph/ops/shape.ts"
import type { DType } from "#src/graph/Type.ts"
import type { GraphBuilder, Value } from "#src/graph/Value.ts"
import type { BuildArgs, Cache, Hooks, KeyValue, ModelConfig } from "./Model.ts"
import { type QueryBlock, queryBlocks } from "./queryBlocks.ts"

/** What the attention layers of one forward pass share. B rows of T new tokens behind P prefix and C cached places. */
export interface Attention {
  readonly batch: number
  readonly length: number
  readonly headDim: number
  /** int64 [B, T]: of the new tokens, the prefix counted. */
  readonly positions: Value
  /** Positions lie below this. */
  readonly positionCount: number
  /**
   * Added to the scores, broadcast to [B, H, T, P + C + T], or to those of a block. `window`: how far a token sees, itself counted;
   * null = all before it.
   */
  readonly mask: (window: number | null, block?: QueryBlock) => Value
  readonly cache: Cache | undefined
  /** Rows hold several documents, so `positions` say nothing about their length. */
  readonly packed: boolean
  /** So many places at the start of each row belong to all of its documents, however far behind them these stand. */
  readonly commonPrefix: number
  readonly hooks: Hooks
}

// Finite instead of -infinity, so that nothing can become NaN.
const lowest = -3.4028234663852886e38

const int64 = (graph: GraphBuilder, count: number, shape: readonly number[], value: (i: number) => number): Value =>
  graph.constant(
    BigInt64Array.from({ length: count }, (_, i) => BigInt(value(i))),
    "int64",
    shape
  )

/** Rows of `length` tokens as `args` place them; scores have type `dtype`. */
export const attentionOf = (
  graph: GraphBuilder,
  args: BuildArgs,
  config: ModelConfig,
  batch: number,
  length: number,
  dtype: DType
): Attention => {
  const { cache, packing, hooks = {} } = args
  const prefix = cache === undefined ? (hooks.prefix?.length ?? 0) : 0
  const cached = cache?.keys[0]?.shape[2] ?? 0
  const commonPrefix = packing?.commonPrefix ?? 0
  const shift = (positions: Value): Value =>
    prefix === 0
      ? positions
      : add(
          positions,
          int64(graph, 1, [], () => prefix)
        )
  const positions =
    cache?.positions ??
    (packing === undefined ? int64(graph, batch * length, [batch, length], (i) => prefix + (i % length)) : shift(packing.positions))
  const hidden = (isHidden: Value, otherwise: Value): Value => where(isHidden, shut, otherwise)
  const number = (value: number): Value => graph.constant(BigInt64Array.of(BigInt(value)), "int64", [1])
  const [open, shut] = [graph.constant(0, dtype, []), graph.constant(lowest, dtype, [])]

  /** [T, T], or [B, 1, T, T] for packed rows. Made in the graph: as a constant it would be the largest part of a long sequence's model. */
  const own = (window: number | null): Value => {
    const column = int64(graph, length, [1, length], (i) => i)
    const row = int64(graph, length, [length, 1], (i) => i)
    const pairs = (x: Value) => [reshape(x, [batch, 1, length, 1]), reshape(x, [batch, 1, 1, length])] as const
    // Behind a common prefix a document's places are nearer to its own than they stand.
    const distance = (): Value => (commonPrefix === 0 ? sub(row, column) : sub(...pairs(positions)))
    const near = window === null || window >= length ? open : hidden(greater(distance(), number(window - 1)), open)
    const causal = hidden(greater(column, row), near)
    if (packing === undefined) return causal
    const ofOne = where(equal(...pairs(packing.segments)), causal, shut)
    return commonPrefix === 0 ? ofOne : where(greater(number(commonPrefix), column), causal, ofOne)
  }
  /** [1, 1, T, P], or [B, 1, T, P] for packed rows: prefix place j has position j and leaves the window as earlier tokens do. */
  const before = (window: number | null): Value => {
    if (window === null || window >= prefix + length) return expand(open, [1, 1, length, prefix])
    const places = int64(graph, prefix, [1, 1, 1, prefix], (j) => j)
    const at =
      packing === undefined ? int64(graph, length, [1, 1, length, 1], (t) => prefix + t) : reshape(positions, [batch, 1, length, 1])
    return hidden(greater(sub(at, places), number(window - 1)), open)
  }
  /** The given mask [B, 1, T, C + T] with what lies outside the window hidden: cached place c has position c. */
  const behind = ({ mask }: Cache, window: number | null): Value => {
    if (window === null) return mask
    const at = reshape(positions, [batch, 1, length, 1])
    const places = int64(graph, cached, [1, 1, 1, cached], (c) => c)
    const old = expand(greater(sub(at, places), number(window - 1)), [batch, 1, length, cached])
    const fresh = expand(greater(sub(at, reshape(positions, [batch, 1, 1, length])), number(window - 1)), [batch, 1, length, length])
    return hidden(concat([old, fresh], 3), mask)
  }
  const made = new Map<number | null, Value>()
  const mask = (window: number | null): Value => {
    const known = made.get(window)
    if (known !== undefined) return known
    const tokens = cache === undefined ? own(window) : behind(cache, window)
    const rows = packing === undefined ? 1 : batch
    const full =
      prefix === 0
        ? tokens
        : concat(
            [
              expand(before(window), [rows, 1, length, prefix]),
              expand(reshape(tokens, [-1, 1, length, length]), [rows, 1, length, length])
            ],
            3
          )
    made.set(window, full)
    return full
  }
  const blocks = new Map<string, Value>()
  const maskOf = (window: number | null, block?: QueryBlock): Value => {
    const full = mask(window)
    if (block === undefined) return full
    const { start, end, from, to } = block
    const name = `${window} ${start}`
    const axis = full.shape.length - 2
    const found = blocks.get(name) ?? slice(slice(full, axis, start, end), axis + 1, from, to)
    blocks.set(name, found)
    return found
  }
  return {
    batch,
    length,
    headDim: config.head_dim,
    positions,
    positionCount: prefix + cached + length,
    mask: maskOf,
    cache,
    packed: packing !== undefined,
    commonPrefix,
    hooks
  }
}

/** [B * T, n * hd] to [B, n, T, hd]. */
export const splitHeads = ({ batch, length, headDim }: Attention, x: Value, heads: number): Value =>
  transpose(reshape(x, [batch, length, heads, headDim]), [0, 2, 1, 3])

export interface Attended {
  /** [B * T, H * hd] */
  readonly output: Value
  /** Of the prefix and the new tokens; behind cached places of the new tokens alone. */
  readonly present: KeyValue
}

export interface AttendOptions {
  /** Module path of the attention, for dropout. */
  readonly path: string
  /** Factor of the scores; default 1 / sqrt(hd). */
  readonly scale?: number
  readonly window?: number | null
}

/** Softmax attention of query [B, H, T, hd] over key and value [B, KV, T, hd], the prefix's and the cached ones in front. */
export const attend = (
  a: Attention,
  layer: number,
  query: Value,
  { key, value }: KeyValue,
  { path, scale = 1 / Math.sqrt(a.headDim), window = null }: AttendOptions
): Attended => {
  const { batch: B, length: T, headDim: hd, cache, hooks } = a
  const H = query.shape[1]!
  const KV = key.shape[1]!
  const earlier =
    cache !== undefined ? { key: cache.keys[layer] as Value, value: cache.values[layer] as Value } : hooks.prefix?.keyValue(layer, B)
  const keys = earlier === undefined ? key : concat([earlier.key, key], 2)
  const values = earlier === undefined ? value : concat([earlier.value, value], 2)
  const places = keys.shape[2]!
  const whole = { start: 0, end: T, from: 0, to: places }
  const blocks = cache === undefined ? queryBlocks(T, places - T, a.commonPrefix > 0 ? null : window) : [whole]
  // The H / KV query heads of a group stand below each other as rows of one matrix, so keys and values are never repeated and
  // their gradients sum over the group inside the matrix product.
  const queries = split(
    query,
    blocks.map(({ start, end }) => end - start),
    2
  )
  const mixed = blocks.map((block, i) => {
    const { start, end, from, to } = block
    const rows = reshape(queries[i]!, [B, KV, -1, hd])
    const scores = matMul(rows, slice(keys, 2, from, to), { transB: true, alpha: scale })
    const weights = softmax(add(reshape(scores, [B, H, end - start, -1]), a.mask(window, block)))
    const part = (mask: Value): Value => slice(slice(mask, 2, start, end), 3, from, to)
    const kept = hooks.dropout?.({ kind: "attention", path, shape: [B, H, T, places], part }, weights) ?? weights
    const sums = matMul(reshape(kept, [B, KV, (H / KV) * (end - start), -1]), slice(values, 2, from, to))
    return transpose(reshape(sums, [B, H, end - start, hd]), [0, 2, 1, 3])
  })
  const output = reshape(concat(mixed, 1), [B * T, H * hd])
  return { output, present: cache === undefined ? { key: keys, value: values } : { key, value } }
}
