// Rows in and out of the catalog's tables: the only place that knows their columns.
import type { OutputRecord } from "#src/domain/Artifact.ts"
import type { Database } from "./database.ts"
import { type AliasRow, type Entry, type ModelRow, ownPart, type RunRow, type StageRow } from "./records.ts"

interface EntryColumns {
  readonly key: string
  readonly kind: string
  readonly pipeline: string
  readonly stage: string
  readonly run: string
  readonly time: string
  readonly manifest: string
  readonly metrics: string
  readonly summary: string | null
  readonly compute_ms: number
  readonly write_ms: number
  readonly outputs: string
}

const entryColumns = `key, kind, pipeline, stage, run, time, manifest, metrics, summary, compute_ms, write_ms,
  (select coalesce(to_json(list({name: o.name, kind: o.kind, digest: o.digest, bytes: o.bytes, rows: o.rows} order by o.position)), '[]')
   from outputs o where o.key = entries.key) as outputs`

const outputOf = (output: OutputRecord & { readonly rows?: number | null }): OutputRecord => {
  const { rows, ...rest } = output
  return rows === null || rows === undefined ? rest : { ...rest, rows }
}

const entryOf = (row: EntryColumns): Entry => ({
  key: row.key,
  kind: row.kind,
  pipeline: row.pipeline,
  stage: row.stage,
  run: row.run,
  time: row.time,
  manifest: JSON.parse(row.manifest),
  outputs: (JSON.parse(row.outputs) as readonly OutputRecord[]).map(outputOf),
  metrics: JSON.parse(row.metrics),
  ...(row.summary === null ? {} : { summary: row.summary }),
  computeMs: row.compute_ms,
  writeMs: row.write_ms
})

/** Entries that a condition on the table `entries` picks. */
export const selectEntries = async (db: Database, condition: string, values: readonly string[]): Promise<readonly Entry[]> =>
  (await db.rows<EntryColumns>(`select ${entryColumns} from entries ${condition}`, values)).map(entryOf)

/** Puts a result in, in place of an older one of the same key, as the stage's last success. */
export const putEntry = async (db: Database, entry: Entry): Promise<void> => {
  await db.rows("insert or replace into entries values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)", [
    entry.key,
    ownPart(entry.manifest),
    entry.kind,
    entry.pipeline,
    entry.stage,
    entry.run,
    entry.time,
    JSON.stringify(entry.manifest),
    JSON.stringify(entry.metrics),
    entry.summary ?? null,
    entry.computeMs,
    entry.writeMs
  ])
  await db.rows("delete from outputs where key = $1", [entry.key])
  for (const [i, o] of entry.outputs.entries()) {
    await db.rows("insert into outputs values ($1,$2,$3,$4,$5,$6,$7)", [entry.key, i, o.name, o.kind, o.digest, o.bytes, o.rows ?? null])
  }
  await putSuccess(db, entry)
}

export const putSuccess = (
  db: Database,
  { pipeline, stage, key, run, time }: Pick<Entry, "pipeline" | "stage" | "key" | "run" | "time">
): Promise<unknown> =>
  db.rows(
    `insert into successes values ($1,$2,$3,$4,$5) on conflict (pipeline, stage)
     do update set key = excluded.key, run = excluded.run, time = excluded.time where excluded.time >= successes.time`,
    [pipeline, stage, key, run, time]
  )

export const putModel = (db: Database, m: ModelRow): Promise<unknown> =>
  db.rows("insert or replace into models values ($1,$2,$3,$4,$5,$6)", [m.name, m.version, m.digest, m.key, m.run, m.time])

export const putAlias = (db: Database, a: AliasRow): Promise<unknown> =>
  db.rows("insert or replace into aliases values ($1,$2,$3,$4)", [a.name, a.alias, a.version, a.time])

/** Puts a run and its stages in, in place of what was known of it. */
export const putRun = async (db: Database, row: RunRow): Promise<void> => {
  for (const table of ["stages", "metrics"]) await db.rows(`delete from ${table} where run = $1`, [row.run])
  await db.rows("insert or replace into runs values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)", [
    row.run,
    row.pipeline,
    row.started,
    row.ended,
    row.outcome,
    row.git,
    JSON.stringify(row.overrides),
    JSON.stringify(row.config),
    JSON.stringify(row.sources),
    row.savedMs
  ])
  for (const [i, s] of row.stages.entries()) {
    await db.rows("insert into stages values ($1,$2,$3,$4,$5,$6,$7)", [row.run, i, s.stage, s.kind, s.outcome, s.key, JSON.stringify(s)])
    for (const [name, value] of Object.entries(s.metrics)) {
      await db.rows("insert into metrics values ($1,$2,$3,$4)", [row.run, s.stage, name, value])
    }
  }
}

interface RunColumns extends Omit<RunRow, "overrides" | "config" | "sources" | "savedMs" | "stages"> {
  readonly overrides: string
  readonly config: string
  readonly sources: string
  readonly saved_ms: number
}

export const selectRuns = async (db: Database): Promise<readonly RunRow[]> => {
  const stages = Map.groupBy(
    await db.rows<{ readonly run: string; readonly record: string }>("select run, record from stages order by run, position"),
    (row) => row.run
  )
  return (await db.rows<RunColumns>("select * from runs")).map(({ saved_ms, ...row }) => ({
    ...row,
    overrides: JSON.parse(row.overrides),
    config: JSON.parse(row.config),
    sources: JSON.parse(row.sources),
    savedMs: saved_ms,
    stages: (stages.get(row.run) ?? []).map((stage) => JSON.parse(stage.record) as StageRow)
  }))
}
