// One record of a source file before it is a row: a value, or what keeps the file from yielding one.

/** `at` says where in the file: "line 7" or "row 3". */
export type SourceRecord = { readonly at: string; readonly value: unknown } | { readonly at: string; readonly problem: string }

export type SourceRecords = AsyncIterable<SourceRecord> | Iterable<SourceRecord>
