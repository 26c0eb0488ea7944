// A stage's context for tests: real files in a folder of its own, events collected.
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Schema from "effect/Schema"
import type { StageEvent } from "#src/domain/RunEvent.ts"
import type { InputArtifact, StageContext } from "#src/domain/StageContext.ts"
import type { Row, RowKind } from "#src/domain/rows.ts"
import { writeRows } from "#src/store/rows.ts"

export interface TestContext<C> extends StageContext<C> {
  readonly events: StageEvent[]
  /** Texts of the Log events of a level. */
  readonly logs: (level: "info" | "warning") => readonly string[]
}

export interface TestStage<S extends Schema.Top> {
  readonly config: S
  readonly files?: (config: S["Type"]) => Readonly<Record<string, string | readonly string[]>>
}

/** `config` is as a pipeline file writes it. Files that it names are absolute paths. */
export const context = <S extends Schema.Top>(
  stage: TestStage<S>,
  config: S["Encoded"],
  inputs: Readonly<Record<string, string>> = {}
): TestContext<S["Type"]> => {
  const folder = mkdtempSync(join(tmpdir(), "anneal-stage-"))
  const decoded = Schema.decodeUnknownSync(stage.config as never)(config) as S["Type"]
  const events: StageEvent[] = []
  return {
    pipeline: "test",
    run: "test-run",
    stage: "stage",
    key: "sha256:00",
    config: decoded,
    inputs: Object.fromEntries(
      Object.entries(inputs).map(([name, path]): [string, InputArtifact] => [name, { kind: "rows", digest: `sha256:${name}`, path }])
    ),
    files: stage.files?.(decoded) ?? {},
    workDir: folder,
    checkpointDir: join(folder, "checkpoints"),
    leasePath: join(folder, "lease.json"),
    attempt: "1",
    threads: 1,
    output: (name) => join(folder, name),
    emit: (event) => events.push(event),
    stopRequested: () => false,
    verifyLease: () => undefined,
    events,
    logs: (level) => events.flatMap((e) => (e._tag === "Log" && e.level === level ? [e.text] : []))
  }
}

const folder = mkdtempSync(join(tmpdir(), "anneal-data-"))
let files = 0

/** A new source file with this content. */
export const sourceFile = (name: string, content: string | Uint8Array): string => {
  const path = join(mkdtempSync(join(folder, "f-")), name)
  writeFileSync(path, content)
  return path
}

/** A new rows artifact. */
export const rowsFile = async <K extends RowKind>(kind: K, rows: readonly Row<K>[]): Promise<string> => {
  const path = join(folder, `rows-${files++}.arrow`)
  await writeRows(path, kind, rows)
  return path
}

export const sameBytes = (a: string, b: string): boolean => readFileSync(a).equals(readFileSync(b))
