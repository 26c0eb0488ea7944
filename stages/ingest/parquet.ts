// Parquet files, through an in-memory DuckDB that is loaded only when there is one to read.
import { DataError } from "#src/domain/Errors.ts"
import type { SourceRecord } from "./SourceRecord.ts"

export async function* readParquet(path: string, name: string): AsyncGenerator<SourceRecord> {
  const { DuckDBInstance } = await import("@duckdb/node-api")
  // Extensions are never fetched: what the library holds reads Parquet.
  const instance = await DuckDBInstance.create(":memory:", { autoinstall_known_extensions: "false", autoload_known_extensions: "false" })
  const connection = await instance.connect()
  try {
    const result = await connection.stream("select * from read_parquet($1)", [path])
    let row = 0
    for await (const rows of result.yieldRowObjectJs()) for (const value of rows) yield { at: `row ${++row}`, value }
  } catch (cause) {
    throw new DataError({
      message: "the Parquet file cannot be read",
      where: name,
      why: (cause instanceof Error ? cause.message : String(cause)).slice(0, 300)
    })
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}
