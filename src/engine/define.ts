// The authoring API's machinery: a pipeline file calls these, and what comes out is data (domain/Pipeline.ts).
import { getCallSites } from "node:util"
import type * as Schema from "effect/Schema"
import { DefinitionError } from "#src/domain/Errors.ts"
import { hubName } from "#src/domain/hubName.ts"
import type { PipelineDef, PlannedInput, Ref, Settled, SourceDef, StageDef, StageKind, StageResult } from "#src/domain/Pipeline.ts"
import type { StageContext } from "#src/domain/StageContext.ts"

/** Input and output declarations: name -> artifact kind, "kind?" for an optional input. */
export type Ports = Readonly<Record<string, string>>

/** The wires that a stage with these inputs takes; an input declared "kind?" may be left out. */
export type Wires<I extends Ports> = { readonly [N in keyof I as I[N] extends `${string}?` ? never : N]: Ref<I[N]> } & {
  readonly [N in keyof I as I[N] extends `${string}?` ? N : never]?: I[N] extends `${infer K}?` ? Ref<K> : never
}

/** What a stage constructor returns: the one output itself, or the outputs by name. */
export type Handle<O extends Ports> = [SingleKey<O>] extends [never] ? { readonly [N in keyof O]: Ref<O[N]> } : Ref<O[SingleKey<O>]>
type SingleKey<O> = { [N in keyof O]: [Exclude<keyof O, N>] extends [never] ? N : never }[keyof O]

/** A stage's typed declaration; see domain/Pipeline.ts StageKind for what each field means. `R`: its config with all that `settle` settles. */
export interface StageSpec<S extends Schema.Top, I extends Ports, O extends Ports, R extends S["Type"] = S["Type"]> {
  readonly kind: string
  readonly version: number
  readonly config: S
  readonly inputs: I
  readonly outputs: O
  readonly executionOnly?: readonly string[]
  readonly files?: (config: S["Type"]) => Readonly<Record<string, string | readonly string[]>>
  readonly facts?: (config: R) => Readonly<Record<string, string>>
  readonly isolate?: boolean
  readonly environment?: (config: R) => Readonly<Record<string, string>>
  readonly settle?: () => Promise<{ readonly settle: Settle<S["Type"]> }>
  readonly run: () => Promise<{ readonly run: StageRun<R> }>
}
export type Settle<C> = (config: C, inputs: Readonly<Record<string, PlannedInput>>, stage: string) => Settled | Promise<Settled>
export type StageRun<C> = (context: StageContext<C>) => Promise<StageResult>

/** The config that a pipeline file writes: the Schema's encoded side, plus the stage's id. */
export type Authored<S extends Schema.Top> = S["Encoded"] & { readonly id?: string }

interface Collector {
  readonly sources: SourceDef[]
  readonly stages: StageDef[]
}
let collecting: Collector | undefined

const collector = (what: string): Collector => {
  if (collecting !== undefined) return collecting
  throw new DefinitionError({
    message: `${what}() is called outside pipeline()`,
    hint: "call it inside the function given to pipeline(id, () => { … })"
  })
}

/** Declares a builtin kind without the caller's module: builtin kinds are keyed by `version`. */
export const stageKind = <S extends Schema.Top, const I extends Ports, const O extends Ports, R extends S["Type"] = S["Type"]>(
  spec: StageSpec<S, I, O, R>
): StageSpec<S, I, O, R> => spec

/**
 * A stage of the user's own, keyed by the module graph of the file that calls defineStage (comments, formatting and types do
 * not count), so keep it in a file of its own beside `pipelines/`.
 */
export const defineStage = <S extends Schema.Top, const I extends Ports, const O extends Ports>(
  spec: Omit<StageSpec<S, I, O>, "run" | "isolate" | "settle"> & { readonly run: StageRun<S["Type"]> }
): ((inputs: Wires<I>, config?: Authored<S>) => Handle<O>) => {
  const module = getCallSites(2)[1]?.scriptName
  const kind = { ...spec, run: async () => ({ run: spec.run }), ...(module === undefined ? {} : { module }) } as never as StageKind
  return (inputs, config) => addStage<O>(kind, inputs as Record<string, Ref>, config ?? {})
}

/** Name of the stage kind that makes a wire's artifact, in the pipeline being collected; undefined for a source. */
export const madeBy = (ref: Ref): string | undefined => collecting?.stages.find((stage) => stage.id === ref.stage)?.kind.kind

/** Enters a stage into the pipeline being collected and returns its outputs as wires. */
export const addStage = <O extends Ports>(
  kind: StageKind,
  inputs: Readonly<Record<string, Ref | undefined>>,
  authored: Readonly<Record<string, unknown>>,
  outputs: Ports = kind.outputs
): Handle<O> => {
  const { id = kind.kind, ...config } = authored as { readonly id?: string }
  const stage = String(id)
  const wires = Object.fromEntries(Object.entries(inputs).filter((entry): entry is [string, Ref] => entry[1] !== undefined))
  collector(kind.kind).stages.push({ id: stage, kind, config, inputs: wires, outputs })
  const refs = Object.fromEntries(
    Object.entries(outputs).map(([output, of]) => [output, { _tag: "Ref", stage, output, kind: of } satisfies Ref])
  )
  // What the kind declares decides the handle's form, so that leaving out an optional input does not change it.
  const [only, ...others] = Object.keys(kind.outputs)
  return (only !== undefined && others.length === 0 ? refs[only] : refs) as Handle<O>
}

/**
 * A base model as a source node; its id is "base" unless given.
 * @param path a folder in Hugging Face layout, relative to the workspace, or "hf:org/name@revision" (a branch, a tag or a commit; default main)
 * @throws DefinitionError for a name that no model on the hub can have
 */
export const baseModel = (path: string, options: { readonly id?: string } = {}): Ref<"base"> => {
  hubName(path)
  const id = options.id ?? "base"
  collector("baseModel").sources.push({ id, kind: "base", path })
  return { _tag: "Ref", stage: id, output: "base", kind: "base" }
}

/** A folder with an adapter in PEFT's format, made here or elsewhere, as a source node; its id is "adapter" unless given. */
export const adapterFolder = (path: string, options: { readonly id?: string } = {}): Ref<"model"> => {
  const id = options.id ?? "adapter"
  if (path.startsWith("hf:"))
    throw new DefinitionError({ message: `adapterFolder takes a folder, not ${path}`, hint: "download the adapter and give its folder" })
  collector("adapterFolder").sources.push({ id, kind: "model", path })
  return { _tag: "Ref", stage: id, output: "model", kind: "model" }
}

/**
 * Declares a pipeline. `id` names it in journals and on screen; the file's name is what the command line uses.
 * The function is called once, at once, and must only call stage constructors.
 */
export function pipeline(id: string, build: () => unknown): PipelineDef
export function pipeline(id: string, options: { readonly objective?: string }, build: () => unknown): PipelineDef
export function pipeline(id: string, a: unknown, b?: () => unknown): PipelineDef {
  const build = (b ?? a) as () => unknown
  const options = (b === undefined ? {} : a) as { readonly objective?: string }
  if (typeof build !== "function")
    throw new DefinitionError({ message: `pipeline("${id}") has no function`, hint: "write pipeline(id, () => { … })" })
  const previous = collecting
  const collected: Collector = { sources: [], stages: [] }
  collecting = collected
  try {
    build()
  } finally {
    collecting = previous
  }
  return { _tag: "Pipeline", id, ...options, ...collected }
}
