// ingest: files of the outside world -> rows of one kind.
import * as Schema from "effect/Schema"
import { field, optional, required } from "#src/domain/config.ts"
import { RowKind } from "#src/domain/rows.ts"
import { stageKind } from "#src/engine/define.ts"

export const IngestConfig = Schema.Struct({
  from: required(
    Schema.Union([Schema.NonEmptyString, Schema.NonEmptyArray(Schema.NonEmptyString)]),
    "file, or list of files read in order"
  ),
  as: required(RowKind, "row kind: instruction, completion, chat, text or classification"),
  format: field(
    Schema.Literals(["auto", "jsonl", "json", "csv", "tsv", "parquet", "txt"]),
    "auto",
    "file format; auto goes by the file name's ending"
  ),
  columns: field(
    Schema.Record(Schema.String, Schema.String),
    {},
    'row field -> column or key of the file, where the names differ, e.g. { instruction: "question", output: "answers.0.text" }'
  ),
  header: field(Schema.Boolean, true, "csv and tsv: the first line holds the column names; without, columns are named column0, column1 …"),
  quote: field(Schema.Literals(['"', ""]), '"', 'csv and tsv: quote character; "" reads quote marks as text'),
  textUnit: field(Schema.Literals(["line", "paragraph", "file"]), "paragraph", "txt: what makes a row"),
  constants: field(
    Schema.Record(Schema.String, Schema.String),
    {},
    'row fields with the same text in every row, e.g. { instruction: "Is this spam?" }'
  ),
  onBadRow: field(Schema.Literals(["fail", "drop"]), "fail", "a row that does not fit: fail the stage, or drop it and count it"),
  limit: optional(Schema.Int.check(Schema.isGreaterThan(0)), "read at most this many rows")
})
export type IngestConfig = typeof IngestConfig.Type

export const ingestKind = stageKind({
  kind: "ingest",
  version: 1,
  config: IngestConfig,
  inputs: {},
  outputs: { rows: "rows" },
  files: (config: IngestConfig) => ({ from: config.from }),
  run: () => import("./run.ts")
})
