// What a stage produces: an immutable output, named by the digest of its bytes, with a kind that says what may read it.
import * as Schema from "effect/Schema"

/** Kinds of the builtin stages' outputs. A user's own stage may name kinds of its own: a kind is any string. */
export const BuiltinArtifactKind = Schema.Literals(["base", "rows", "report", "tokens", "model", "log", "scores", "registration"])
export type BuiltinArtifactKind = typeof BuiltinArtifactKind.Type

/**
 * One stored output. `digest` is "sha256:<hex>" of the file's bytes, or, for a folder, of its sorted manifest of
 * `path, size, sha256` lines. `bytes` is the total size, `rows` the row count where the artifact is a table.
 */
export const OutputRecord = Schema.Struct({
  name: Schema.String,
  kind: Schema.String,
  digest: Schema.String,
  bytes: Schema.Int,
  rows: Schema.optionalKey(Schema.Int)
})
export type OutputRecord = typeof OutputRecord.Type
