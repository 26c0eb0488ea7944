// What configs leave to the plan ("auto") -> values, before any key is made: two machines that settle on the same values share results.
import type { PlannedInput, Settled } from "#src/domain/Pipeline.ts"
import type { BaseFolder } from "./bases.ts"
import type { ResolvedPipeline, ResolvedStage } from "./resolve.ts"

/** The value of a field that the plan chose; null where only a download will tell. */
export type Auto = Readonly<Record<string, string | number | null>>

export interface SettledStage extends ResolvedStage {
  /** Facts of the runtime that change results. */
  readonly facts: Readonly<Record<string, string>>
  /** By field of the config. */
  readonly auto: Auto
}

export interface SettledPipeline extends ResolvedPipeline {
  readonly stages: readonly SettledStage[]
}

/** Fields of the key that are not known yet. */
export const openFields = ({ auto }: Pick<SettledStage, "auto">): readonly string[] =>
  Object.keys(auto).filter((field) => auto[field] === null)

/** @param folders of the sources that are here, by id. @throws what a stage's kind throws for a config that cannot be settled */
export const settle = async (
  pipeline: ResolvedPipeline,
  folders: Readonly<Record<string, BaseFolder>>
): Promise<{ readonly pipeline: SettledPipeline; readonly warnings: readonly string[] }> => {
  const stages: SettledStage[] = []
  const warnings: string[] = []
  for (const stage of pipeline.stages) {
    const { kind, id } = stage
    const settler = await kind.settle?.()
    const settled = await settler?.settle(stage.config as never, inputsOf(stage, pipeline, folders), id)
    const { values, open = [], warning }: Settled = settled ?? { values: {} }
    if (warning !== undefined) warnings.push(`${id}: ${warning}`)
    const config = Object.keys(values).length === 0 ? stage.config : { ...(stage.config as object), ...values }
    stages.push({
      ...stage,
      config,
      encoded: { ...stage.encoded, ...values },
      facts: kind.facts?.(config as never) ?? {},
      auto: { ...Object.fromEntries(open.map((field) => [field, null])), ...values }
    })
  }
  return { pipeline: { ...pipeline, stages }, warnings }
}

/** What a stage's inputs are wired to. */
export const inputsOf = (
  { inputs }: ResolvedStage,
  { stages }: ResolvedPipeline,
  folders: Readonly<Record<string, BaseFolder>>
): Readonly<Record<string, PlannedInput>> => {
  const inputOf = (from: string): PlannedInput => {
    const producer = stages.find(({ id }) => id === from)
    if (producer !== undefined) {
      const { kind, module } = producer.kind
      return { producer: { id: from, ...(module === undefined ? { builtin: { kind, config: producer.config } } : {}) } }
    }
    const path = folders[from]?.path
    return path === undefined ? {} : { path }
  }
  return Object.fromEntries(Object.entries(inputs).map(([name, ref]) => [name, inputOf(ref.stage)]))
}
