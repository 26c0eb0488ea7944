// What the catalog holds, as plain records: results by key, runs with their stages, models with their aliases.
import { createHash } from "node:crypto"
import type { OutputRecord } from "#src/domain/Artifact.ts"
import type { ErrorRecord, ManifestField, Reason, RunOutcome, StageOutcome } from "#src/domain/RunEvent.ts"

export type Figures = Readonly<Record<string, number | null>>

/** A stored result. `time` is ISO-8601; milliseconds of computing and of writing. */
export interface Entry {
  readonly key: string
  readonly kind: string
  readonly pipeline: string
  readonly stage: string
  /** The run that made it. */
  readonly run: string
  readonly time: string
  readonly manifest: readonly ManifestField[]
  readonly outputs: readonly OutputRecord[]
  readonly metrics: Figures
  readonly summary?: string
  readonly computeMs: number
  readonly writeMs: number
}

export interface StageRow {
  readonly stage: string
  readonly kind: string
  readonly outcome: StageOutcome
  readonly key: string | null
  readonly outputs: readonly OutputRecord[]
  readonly metrics: Figures
  readonly summary?: string
  readonly producedBy?: string
  readonly reason: Reason | null
  readonly error: ErrorRecord | null
  readonly computeMs: number
  readonly writeMs: number
}

/** `outcome` is "running" or "crashed" where the journal has no end; `ended` is null then. */
export interface RunRow {
  readonly run: string
  readonly pipeline: string
  readonly started: string
  readonly ended: string | null
  readonly outcome: RunOutcome | "running" | "crashed"
  readonly git: string | null
  readonly overrides: Readonly<Record<string, unknown>>
  readonly config: Readonly<Record<string, unknown>>
  readonly sources: Readonly<Record<string, unknown>>
  readonly savedMs: number
  /** In plan order. */
  readonly stages: readonly StageRow[]
}

export interface ModelRow {
  readonly name: string
  readonly version: number
  /** Digest of the registered folder: objectPath() says where it lies. */
  readonly digest: string
  readonly key: string
  readonly run: string
  readonly time: string
}
export interface AliasRow {
  readonly name: string
  readonly alias: string
  readonly version: number
  readonly time: string
}

/**
 * Digest of the part of a manifest that is the stage's own: everything but its inputs. While an upstream result is
 * pending, it tells whether a result with this config and code can be there at all.
 */
export const ownPart = (manifest: readonly ManifestField[]): string => {
  const own = manifest.filter((field) => !field.path.startsWith("input.")).map((field) => [field.path, field.type, field.value])
  return createHash("sha256").update(JSON.stringify(own)).digest("hex")
}
