// A pipeline as written + what --set changes -> a pipeline that can be planned: configs decoded, wires checked, stages in order.
import { DefinitionError, UsageError } from "#src/domain/Errors.ts"
import { hintFor } from "#src/domain/nearest.ts"
import type { PipelineDef, Ref, SourceDef, StageDef, StageKind } from "#src/domain/Pipeline.ts"
import { decodeConfig } from "./decodeConfig.ts"
import { inOrder } from "./order.ts"

export interface ResolvedStage {
  readonly id: string
  readonly kind: StageKind
  /** Decoded: what the stage is given. */
  readonly config: unknown
  /** The same as plain JSON, defaults filled in. */
  readonly encoded: Readonly<Record<string, unknown>>
  /** External files as written, by config path. */
  readonly files: Readonly<Record<string, string | readonly string[]>>
  readonly inputs: Readonly<Record<string, Ref>>
  readonly outputs: Readonly<Record<string, string>>
  /** Ids of the stages whose outputs it takes (not of sources). */
  readonly needs: readonly string[]
}

export interface ResolvedPipeline {
  readonly id: string
  readonly objective?: string
  readonly sources: readonly SourceDef[]
  /** Each after all that it needs; otherwise in the order written. */
  readonly stages: readonly ResolvedStage[]
  /** "<id>.<path>" -> the value that --set gave. */
  readonly overrides: Readonly<Record<string, unknown>>
}

/**
 * @param set texts of the form "<stage or source id>.<path>=<value>"; a value is read as JSON where it is JSON, else as text
 * @throws UsageError for a `set` that fits no stage, DefinitionError for everything else
 */
export const resolve = (pipeline: PipelineDef, set: readonly string[] = []): ResolvedPipeline => {
  refuseDoubles(pipeline)
  const overrides = Object.fromEntries(set.map(parseSet))
  const overridden = Object.entries(overrides).reduce(override, pipeline)
  const stages = overridden.stages.map((stage) => resolveStage(overridden, stage))
  const { id, objective } = pipeline
  return { id, ...(objective === undefined ? {} : { objective }), sources: overridden.sources, stages: inOrder(stages), overrides }
}

const refuseDoubles = ({ id, sources, stages }: PipelineDef): void => {
  const ids = [...sources, ...stages].map((node) => node.id)
  const double = ids.find((name, i) => ids.indexOf(name) !== i)
  if (double !== undefined) {
    throw new DefinitionError({
      message: `two stages are called ${double}`,
      where: `pipeline ${id}`,
      hint: `give one of them a name of its own: { id: "${double}2", … }`
    })
  }
  // Ids stand in file names, in --set and in manifests.
  const odd = ids.find((name) => !/^[A-Za-z][A-Za-z0-9_-]*$/.test(name))
  if (odd !== undefined) {
    throw new DefinitionError({
      message: `"${odd}" cannot be a stage's id`,
      where: `pipeline ${id}`,
      hint: "use letters, digits, - and _, beginning with a letter"
    })
  }
}

const parseSet = (text: string): readonly [path: string, value: unknown] => {
  const at = text.indexOf("=")
  const path = text.slice(0, at)
  if (at < 0 || !path.includes(".")) {
    throw new UsageError({
      message: `--set ${text} is not of the form <stage>.<option>=<value>`,
      hint: "for example: --set train.learningRate=1e-4"
    })
  }
  const value = text.slice(at + 1)
  try {
    return [path, JSON.parse(value)]
  } catch {
    return [path, value]
  }
}

const override = (pipeline: PipelineDef, [path, value]: readonly [string, unknown]): PipelineDef => {
  const [id = "", ...steps] = path.split(".")
  if (pipeline.stages.some((stage) => stage.id === id)) {
    const change = (stage: StageDef): StageDef =>
      stage.id === id ? { ...stage, config: withValue(stage.config, steps, value) as StageDef["config"] } : stage
    return { ...pipeline, stages: pipeline.stages.map(change) }
  }
  if (pipeline.sources.some((source) => source.id === id)) {
    if (steps.join(".") !== "path" || typeof value !== "string") {
      throw new UsageError({
        message: `--set ${path}: a source has only a path`,
        hint: `write --set ${id}.path=<folder or hf:org/name>`
      })
    }
    return { ...pipeline, sources: pipeline.sources.map((source) => (source.id === id ? { ...source, path: value } : source)) }
  }
  const ids = [...pipeline.sources, ...pipeline.stages].map((node) => node.id)
  throw new UsageError({ message: `--set ${path}: there is no stage ${id}`, where: `pipeline ${pipeline.id}`, hint: hintFor(id, ids) })
}

const withValue = (at: unknown, steps: readonly string[], value: unknown): unknown => {
  const [step, ...rest] = steps
  if (step === undefined) return value
  if (Array.isArray(at)) return at.map((item: unknown, i) => (String(i) === step ? withValue(item, rest, value) : item))
  const object = typeof at === "object" && at !== null ? (at as Record<string, unknown>) : {}
  return { ...object, [step]: withValue(object[step], rest, value) }
}

const resolveStage = (pipeline: PipelineDef, stage: StageDef): ResolvedStage => {
  checkWires(pipeline, stage)
  const { config, encoded } = decodeConfig(stage.kind, stage.config, `stage ${stage.id} of pipeline ${pipeline.id}`)
  const producers = new Set(Object.values(stage.inputs).map((ref) => ref.stage))
  return {
    id: stage.id,
    kind: stage.kind,
    config,
    encoded,
    files: stage.kind.files?.(config as never) ?? {},
    inputs: stage.inputs,
    outputs: stage.outputs,
    needs: pipeline.stages.map((other) => other.id).filter((id) => producers.has(id))
  }
}

/** Names of the outputs in what a stage with several of them returns. */
const outputsIn = (value: unknown): readonly string[] | undefined => {
  if (typeof value !== "object" || value === null) return undefined
  const entries = Object.entries(value as Readonly<Record<string, { readonly _tag?: string } | undefined>>)
  return entries.length > 0 && entries.every(([, entry]) => entry?._tag === "Ref") ? entries.map(([name]) => name) : undefined
}

const checkWires = (pipeline: PipelineDef, stage: StageDef): void => {
  const where = `stage ${stage.id} of pipeline ${pipeline.id}`
  for (const [name, declared] of Object.entries(stage.kind.inputs)) {
    const ref = stage.inputs[name]
    const kind = declared.replace(/\?$/, "")
    if (ref === undefined) {
      if (declared.endsWith("?")) continue
      throw new DefinitionError({
        message: `${stage.id}.${name} is missing: it takes ${article(kind)}`,
        where,
        hint: "wire an output to it"
      })
    }
    if (ref?._tag !== "Ref") {
      const outputs = outputsIn(ref)
      throw new DefinitionError({
        message: `${stage.id}.${name} takes ${article(kind)}, but got ${outputs === undefined ? JSON.stringify(ref) : `several outputs: ${outputs.join(", ")}`}`,
        where,
        hint:
          outputs === undefined ? "give it what a stage constructor returned" : `give it one of them, e.g. with .${outputs[0]} behind it`
      })
    }
    const produced = outputsOf(pipeline, ref, where)[ref.output]
    if (produced === undefined) {
      throw new DefinitionError({
        message: `${stage.id}.${name} reads ${ref.stage}.${ref.output}, which ${ref.stage} does not produce`,
        where,
        hint: `${ref.stage} produces: ${Object.keys(outputsOf(pipeline, ref, where)).join(", ")}`
      })
    }
    if (produced !== kind) {
      throw new DefinitionError({
        message: `${stage.id}.${name} takes ${article(kind)}, but ${ref.stage}.${ref.output} gives ${article(produced)}`,
        where,
        hint: `wire an output of kind ${kind} to it`
      })
    }
  }
  const unknown = Object.keys(stage.inputs).find((name) => !(name in stage.kind.inputs))
  if (unknown !== undefined) {
    throw new DefinitionError({
      message: `${stage.id} has no input ${unknown}`,
      where,
      hint: hintFor(unknown, Object.keys(stage.kind.inputs))
    })
  }
}

const outputsOf = (pipeline: PipelineDef, ref: Ref, where: string): Readonly<Record<string, string>> => {
  const source = pipeline.sources.find((node) => node.id === ref.stage)
  if (source !== undefined) return { [source.kind]: source.kind }
  const stage = pipeline.stages.find((node) => node.id === ref.stage)
  if (stage !== undefined) return stage.outputs
  throw new DefinitionError({
    message: `${ref.stage} is wired in, but is not a stage of this pipeline`,
    where,
    hint: "make every stage inside the function given to pipeline()"
  })
}

/** "a base", but "rows", "tokens", "scores" as they are. */
const article = (kind: string): string => (kind.endsWith("s") ? kind : `${/^[aeiou]/.test(kind) ? "an" : "a"} ${kind}`)
