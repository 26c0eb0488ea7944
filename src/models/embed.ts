// The first and the last thing that every family does alike: ids to embeddings, with what hooks put in front or add, and the
// choice of the positions whose logits are wanted.
import { add, div, mul } from "#src/graph/ops/elementwise.ts"
import { gather } from "#src/graph/ops/index.ts"
import { concat, expand, reshape } from "#src/graph/ops/shape.ts"
import type { GraphBuilder, Value } from "#src/graph/Value.ts"
import { type Attention, attentionOf } from "./attention.ts"
import type { BuildArgs, ModelConfig } from "./Model.ts"

export interface Embedded {
  /** [B * T, hidden_size]: T counts virtual tokens. */
  readonly embeddings: Value
  readonly attention: Attention
  /** The rows of [B * T, width] that are wanted: those of `select`, or all but the virtual tokens'. */
  readonly pick: (x: Value) => Value
}

/** What some families do to embeddings. */
export interface EmbedOptions {
  /** The family's own change of rows of the table, e.g. a factor. */
  readonly scaled?: (rows: Value) => Value
  /** Of all embeddings [B * T, hidden_size], virtual tokens' too, before they are dropped out: adds learned positions. */
  readonly placed?: (x: Value, attention: Attention) => Value
}

export const embed = (
  graph: GraphBuilder,
  args: BuildArgs,
  config: ModelConfig,
  weight: Value,
  { scaled = (x) => x, placed = (x) => x }: EmbedOptions = {}
): Embedded => {
  const { inputIds, select, cache, hooks = {} } = args
  const [batch, tokens] = inputIds.shape as [number, number]
  const paddingIdx = config.pad_token_id
  const ids = reshape(inputIds, [batch * tokens])
  const plain = scaled(gather(weight, ids, paddingIdx === null ? {} : { paddingIdx }))
  const embedded = hooks.embedding?.(ids, plain, scaled) ?? plain
  const virtual = cache === undefined ? hooks.virtualTokens : undefined
  const count = virtual?.shape[0] ?? 0
  const width = config.hidden_size
  const joined =
    virtual === undefined
      ? embedded
      : reshape(
          concat([expand(reshape(virtual, [1, count, width]), [batch, count, width]), reshape(embedded, [batch, tokens, width])], 1),
          [batch * (count + tokens), width]
        )
  const attention = attentionOf(graph, args, config, batch, count + tokens, joined.dtype)
  const whole = placed(joined, attention)
  const embeddings = hooks.dropout?.({ kind: "embedding" }, whole) ?? whole
  return { embeddings, attention, pick: picker(graph, select, batch, tokens, count) }
}

/** Flat position b * T + t becomes b * (P + T) + P + t. */
const picker = (graph: GraphBuilder, select: Value | undefined, batch: number, tokens: number, virtual: number) => {
  if (virtual === 0) return (x: Value): Value => (select === undefined ? x : gather(x, select))
  const number = (value: number): Value => graph.constant(BigInt64Array.of(BigInt(value)), "int64", [1])
  const all = (): Value =>
    graph.constant(
      BigInt64Array.from({ length: batch * tokens }, (_, i) => BigInt(i)),
      "int64",
      [batch * tokens]
    )
  const wanted = select ?? all()
  const row = div(wanted, number(tokens))
  const shifted = add(wanted, mul(add(row, number(1)), number(virtual)))
  return (x: Value): Value => gather(x, shifted)
}
