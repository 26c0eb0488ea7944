// The catalog service: results by key, runs, models and aliases, over artifacts/catalog.duckdb.
// It is an index: journals and objects are the truth, and a missing catalog is made again from them.
import { existsSync, rmSync } from "node:fs"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type AnnealError, toAnnealError, UsageError } from "#src/domain/Errors.ts"
import type { RunEvent } from "#src/domain/RunEvent.ts"
import { clear, type Database, isBroken, memory, withDatabase } from "./database.ts"
import { aliasesOf, entriesOf, modelsOf, runRow } from "./indexRun.ts"
import { readJournal } from "./Journal.ts"
import { isAlive } from "./processes.ts"
import { objectPath } from "./Objects.ts"
import type { AliasRow, Entry, ModelRow, RunRow } from "./records.ts"
import { aliasJournal, noteAlias } from "./Registry.ts"
import { putAlias, putEntry, putModel, putRun, putSuccess, selectEntries, selectRuns } from "./tables.ts"
import { namesIn } from "./Work.ts"
import { journalPath, Workspace, type WorkspacePaths } from "./Workspace.ts"

/** Look-ups within one opening of the catalog. */
export interface Snapshot {
  readonly entry: (key: string) => Promise<Entry | undefined>
  /** Whether any result of this own part (records.ts ownPart) was ever stored. */
  readonly knows: (own: string) => Promise<boolean>
  /** The result of the stage's last success in this pipeline, reused or made. */
  readonly last: (pipeline: string, stage: string) => Promise<Entry | undefined>
  /** The newest results of a kind, up to 20. */
  readonly ofKind: (kind: string) => Promise<readonly Entry[]>
  /** Milliseconds that the stored results of a pipeline's stages took, the newest first. */
  readonly times: (pipeline: string) => Promise<readonly { readonly stage: string; readonly ms: number }[]>
}

/** What a finished stage enters, in one transaction. */
export interface Publication {
  readonly entry: Entry
  readonly models: readonly ModelRow[]
  readonly aliases: readonly AliasRow[]
}

export interface CatalogService {
  /** Nothing is written. Where there is neither a catalog nor a journal, every look-up finds nothing. */
  readonly read: <A>(work: (snapshot: Snapshot) => Promise<A>) => Effect.Effect<A, AnnealError>
  readonly publish: (publication: Publication) => Effect.Effect<void, AnnealError>
  /** Enters the runs that ended or crashed since it was last asked. */
  readonly indexRuns: () => Effect.Effect<void, AnnealError>
  /** All runs, newest first, those that are going on among them. */
  readonly runs: () => Effect.Effect<readonly RunRow[], AnnealError>
  /** All stored results, newest first. */
  readonly entries: () => Effect.Effect<readonly Entry[], AnnealError>
  /** Versions by name and number, and where each alias points. */
  readonly models: () => Effect.Effect<{ readonly models: readonly ModelRow[]; readonly aliases: readonly AliasRow[] }, AnnealError>
  /** Errors: UsageError where there is no such version. */
  readonly moveAlias: (name: string, alias: string, version: number) => Effect.Effect<void, AnnealError>
  /** Makes the catalog again from journals and objects; tells how much was found. */
  readonly rebuild: () => Effect.Effect<{ readonly runs: number; readonly entries: number; readonly models: number }, AnnealError>
}

export class Catalog extends Context.Service<Catalog, CatalogService>()("anneal/store/Catalog") {
  static readonly layer: Layer.Layer<Catalog, never, Workspace> = Layer.effect(
    Catalog,
    Effect.gen(function* () {
      return makeCatalog(yield* Workspace)
    })
  )
}

const io = <A>(work: () => Promise<A>): Effect.Effect<A, AnnealError> =>
  Effect.tryPromise({ try: work, catch: (u) => toAnnealError(u, "catalog") })

export const makeCatalog = (workspace: WorkspacePaths): CatalogService => {
  const read = async <A>(work: (db: Database | undefined) => Promise<A>): Promise<A> => {
    const unfilled = Symbol("unfilled")
    const found = existsSync(workspace.catalog)
      ? await withDatabase(workspace.catalog, "read", async (db) => ((await isFilled(db)) ? work(db) : unfilled))
      : unfilled
    if (found !== unfilled) return found as A
    if (namesIn(workspace.runs).length === 0) return work(undefined)
    // Without a catalog, one is made in memory for this question: nothing is written.
    return withDatabase(memory, "write", async (db) => {
      await db.transaction(async () => void (await fill(db, workspace)))
      return work(db)
    })
  }
  const write = (work: (db: Database) => Promise<void>): Promise<void> =>
    withDatabase(workspace.catalog, "write", (db) =>
      db.transaction(async () => {
        if (!(await isFilled(db))) await fill(db, workspace)
        await work(db)
      })
    )
  const models = (db: Database | undefined) => async () => ({
    models: (await db?.rows<ModelRow>("select * from models order by name, version")) ?? [],
    aliases: (await db?.rows<AliasRow>("select * from aliases order by name, alias")) ?? []
  })
  return {
    read: (work) => io(() => read((db) => work(snapshotOf(db)))),
    publish: ({ entry, models, aliases }) =>
      io(() =>
        write(async (db) => {
          await putEntry(db, entry)
          for (const model of models) await putModel(db, model)
          for (const alias of aliases) await putAlias(db, alias)
        })
      ),
    indexRuns: () => io(() => write((db) => indexEnded(db, workspace))),
    runs: () =>
      io(() =>
        read(async (db) => {
          const known = db === undefined ? [] : await selectRuns(db)
          const names = new Set(known.map((run) => run.run))
          const others = unindexed(workspace, names).flatMap((events) => runRow(events, isAlive) ?? [])
          return [...known, ...others].sort((a, b) => (a.started < b.started ? 1 : -1))
        })
      ),
    entries: () => io(() => read(async (db) => (db === undefined ? [] : selectEntries(db, "order by time desc", [])))),
    models: () => io(() => read((db) => models(db)())),
    moveAlias: (name, alias, version) =>
      io(async () => {
        const { models: known } = await read((db) => models(db)())
        refuseUnknown(known, name, version)
        const event = noteAlias(workspace, name, alias, version)
        await write(async (db) => void (await putAlias(db, event)))
      }),
    rebuild: () => io(() => rebuild(workspace))
  }
}

const refuseUnknown = (known: readonly ModelRow[], name: string, version: number): void => {
  const versions = known.filter((model) => model.name === name).map((model) => model.version)
  if (versions.includes(version)) return
  throw new UsageError({
    message: versions.length === 0 ? `no model is registered as ${name}` : `${name} has no version ${version}`,
    hint: versions.length === 0 ? "see what is there with: anneal models" : `its versions are ${versions.join(", ")}`
  })
}

const snapshotOf = (db: Database | undefined): Snapshot => {
  const select = async (condition: string, ...values: readonly string[]) => (db === undefined ? [] : selectEntries(db, condition, values))
  return {
    entry: async (key) => (await select("where key = $1", key))[0],
    knows: async (own) => db !== undefined && (await db.rows("select 1 from entries where own = $1 limit 1", [own])).length > 0,
    last: async (pipeline, stage) =>
      (await select("where key in (select s.key from successes s where s.pipeline = $1 and s.stage = $2)", pipeline, stage))[0],
    ofKind: (kind) => select("where kind = $1 order by time desc limit 20", kind),
    times: async (pipeline) =>
      (await db?.rows("select stage, compute_ms + write_ms as ms from entries where pipeline = $1 order by time desc", [pipeline])) ?? []
  }
}

const unindexed = (workspace: WorkspacePaths, known: ReadonlySet<string>): readonly (readonly RunEvent[])[] =>
  namesIn(workspace.runs)
    .filter((run) => !known.has(run))
    .map((run) => readJournal(journalPath(workspace, run)))

const indexEnded = async (db: Database, workspace: WorkspacePaths): Promise<void> => {
  const known = await db.rows<{ readonly run: string }>("select run from runs")
  for (const events of unindexed(workspace, new Set(known.map((row) => row.run)))) {
    const row = runRow(events, isAlive)
    if (row !== undefined && row.outcome !== "running") await indexRun(db, row)
  }
}

const indexRun = async (db: Database, row: RunRow): Promise<void> => {
  await putRun(db, row)
  for (const { outcome, key, stage } of row.stages) {
    if (outcome === "reused" && key !== null)
      await putSuccess(db, { pipeline: row.pipeline, stage, key, run: row.run, time: row.ended ?? row.started })
  }
}

/** Everything that the journals tell, in the order in which it happened. Results whose objects are gone are left out. */
const fill = async (db: Database, workspace: WorkspacePaths) => {
  const journals = unindexed(workspace, new Set()).filter((events) => events.length > 0)
  const byTime = <T extends { readonly time: string }>(rows: readonly T[]): readonly T[] =>
    [...rows].sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0))
  const there = (digest: string): boolean => existsSync(objectPath(workspace, digest))
  const entries = byTime(journals.flatMap(entriesOf)).filter((entry) => entry.outputs.every((output) => there(output.digest)))
  const models = byTime(journals.flatMap(modelsOf)).filter((model) => there(model.digest))
  const rows = journals.flatMap((events) => runRow(events, isAlive) ?? []).sort((a, b) => (a.started < b.started ? -1 : 1))
  for (const entry of entries) await putEntry(db, entry)
  for (const model of models) await putModel(db, model)
  for (const alias of byTime([...journals.flatMap(aliasesOf), ...aliasesOf(readJournal(aliasJournal(workspace)))]))
    await putAlias(db, alias)
  for (const row of rows) if (row.outcome !== "running") await indexRun(db, row)
  await db.rows("insert into filled values ($1)", [new Date().toISOString()])
  return { runs: rows.length, entries: new Set(entries.map((entry) => entry.key)).size, models: models.length }
}

/** A catalog that was begun but never filled (its writer was killed) counts as none. */
const isFilled = async (db: Database): Promise<boolean> =>
  (await db.rows("select 1 from duckdb_tables() where table_name = 'filled'")).length > 0 &&
  (await db.rows("select 1 from filled")).length > 0

const rebuild = async (workspace: WorkspacePaths) => {
  const counts = { runs: 0, entries: 0, models: 0 }
  const refill = (): Promise<void> =>
    withDatabase(workspace.catalog, "write", (db) =>
      db.transaction(async () => {
        await clear(db)
        Object.assign(counts, await fill(db, workspace))
      })
    )
  await refill().catch((error: unknown) => {
    if (!isBroken(error)) throw error
    for (const file of [workspace.catalog, `${workspace.catalog}.wal`]) rmSync(file, { force: true })
    return refill()
  })
  return counts
}
