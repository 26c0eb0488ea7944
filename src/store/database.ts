// The catalog's database file: opened late, closed early, retried while another process holds its lock.
// DuckDB must never have one file open twice in a process (it would drop its lock): opens of a path are queued here.
import { dirname } from "node:path"
import type { DuckDBConnection, DuckDBValue } from "@duckdb/node-api"
import { EnvironmentError } from "#src/domain/Errors.ts"
import { makeFolder } from "./makeFolder.ts"

export interface Database {
  readonly rows: <R>(sql: string, values?: readonly DuckDBValue[]) => Promise<readonly R[]>
  /** All or nothing. */
  readonly transaction: (work: () => Promise<void>) => Promise<void>
}

export const memory = ":memory:"

const schema = `
begin;
create table if not exists entries (key varchar primary key, own varchar, kind varchar, pipeline varchar, stage varchar, run varchar,
  time varchar, manifest json, metrics json, summary varchar, compute_ms double, write_ms double);
create table if not exists outputs (key varchar, position integer, name varchar, kind varchar, digest varchar, bytes bigint, rows bigint);
create table if not exists successes (pipeline varchar, stage varchar, key varchar, run varchar, time varchar, primary key (pipeline, stage));
create table if not exists runs (run varchar primary key, pipeline varchar, started varchar, ended varchar, outcome varchar, git varchar,
  overrides json, config json, sources json, saved_ms double);
create table if not exists stages (run varchar, position integer, stage varchar, kind varchar, outcome varchar, key varchar, record json);
create table if not exists metrics (run varchar, stage varchar, name varchar, value double);
create table if not exists models (name varchar, version integer, digest varchar, key varchar, run varchar, time varchar, primary key (name, version));
create table if not exists aliases (name varchar, alias varchar, version integer, time varchar, primary key (name, alias));
create table if not exists filled (time varchar);
create view if not exists fields as
  select key, unnest(from_json(manifest, '[{"path":"VARCHAR","type":"VARCHAR","value":"JSON"}]'), recursive := true) from entries;
commit;
`

/** Empties the database: what comes after it in the same transaction starts from nothing. */
export const clear = async (db: Database): Promise<void> => {
  for (const table of ["entries", "outputs", "successes", "runs", "stages", "metrics", "models", "aliases", "filled"]) {
    await db.rows(`truncate ${table}`)
  }
}

const queues = new Map<string, Promise<unknown>>()
const patienceMs = 60_000

/** Runs `work` on the database at `path` (":memory:" for one that vanishes). Errors: EnvironmentError for a held lock or a broken file. */
export const withDatabase = <A>(path: string, access: "read" | "write", work: (db: Database) => Promise<A>): Promise<A> => {
  if (path === memory) return use(path, access, work)
  const turn = (queues.get(path) ?? Promise.resolve()).then(() => use(path, access, work))
  queues.set(
    path,
    turn.catch(() => undefined)
  )
  return turn
}

const use = async <A>(path: string, access: "read" | "write", work: (db: Database) => Promise<A>): Promise<A> => {
  const instance = await openPatiently(path, access)
  try {
    const connection = await instance.connect()
    try {
      if (access === "write") await connection.run(schema)
      return await work(databaseOf(connection))
    } finally {
      connection.closeSync()
    }
  } catch (error) {
    throw storeError(error, path)
  } finally {
    instance.closeSync()
  }
}

const databaseOf = (connection: DuckDBConnection): Database => ({
  rows: async <R>(sql: string, values: readonly DuckDBValue[] = []) =>
    (await connection.runAndReadAll(sql, [...values])).getRowObjectsJS() as unknown as readonly R[],
  transaction: async (work) => {
    await connection.run("begin")
    try {
      await work()
      await connection.run("commit")
    } catch (error) {
      await connection.run("rollback").catch(() => undefined)
      throw error
    }
  }
})

const openPatiently = async (path: string, access: "read" | "write") => {
  const { DuckDBInstance } = await import("@duckdb/node-api")
  if (access === "write" && path !== memory) makeFolder(dirname(path))
  const options = {
    threads: "1",
    // Many small tables: the default of 256 KiB a block makes each of them megabytes, and each close slow.
    default_block_size: "16384",
    autoinstall_known_extensions: "false",
    autoload_known_extensions: "false",
    ...(access === "read" && path !== memory ? { access_mode: "READ_ONLY" } : {})
  }
  const deadline = Date.now() + patienceMs
  for (;;) {
    try {
      return await DuckDBInstance.create(path, options)
    } catch (error) {
      if (!/Could not set lock|Conflicting lock/i.test(String(error)) || Date.now() > deadline) throw storeError(error, path)
      await new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 40))
    }
  }
}

const isDuckDbError = (error: unknown): error is Error =>
  error instanceof Error &&
  /^(IO|Fatal|FATAL|Serialization|Catalog|Invalid|INTERNAL|TransactionContext|Constraint|Out of Memory) ?(Input)? ?Error/.test(
    error.message
  )

const broken = "the catalog cannot be used"
/** Whether an error says that the file is no database any more, rather than that it is held or cannot be written. */
export const isBroken = (error: unknown): boolean => error instanceof EnvironmentError && error.message === broken

/** DuckDB says everything in its message, which may hold whole values: it is cut. Other errors pass. */
const storeError = (error: unknown, path: string): unknown => {
  if (!isDuckDbError(error)) return error
  const why = error.message.slice(0, 300)
  if (/No space left|disk quota/i.test(why)) {
    return new EnvironmentError({ message: "no space left on the disk", where: path, hint: "free some space, then run the same command" })
  }
  if (/Read-only file system|Permission denied/i.test(why)) {
    return new EnvironmentError({
      message: "the store cannot be written",
      where: path,
      why,
      hint: "choose a writable folder with --artifacts <folder>"
    })
  }
  if (/Could not set lock|Conflicting lock/i.test(why)) {
    return new EnvironmentError({
      message: "the catalog is held by another process",
      where: path,
      why,
      hint: "close the program that has it open"
    })
  }
  return new EnvironmentError({
    message: broken,
    where: path,
    why,
    hint: "rebuild it from the journals with: anneal doctor --rebuild"
  })
}
