// A pipeline as data: sources, stages, wires. Loading a pipeline file yields this; nothing has run.
import type * as Schema from "effect/Schema"

/** A reference to one output of one stage (or to a source): the wire that a pipeline file draws. */
export interface Ref<K extends string = string> {
  readonly _tag: "Ref"
  /** Id of the stage or source that produces it. */
  readonly stage: string
  readonly output: string
  readonly kind: K
}

/**
 * What comes from outside: a base model, a folder in Hugging Face layout or one of the hub, or an adapter over one ("model").
 * One node, one digest, however many stages read it.
 */
export interface SourceDef {
  readonly id: string
  readonly kind: "base" | "model"
  /** As written in the pipeline file or given by --set <id>.path=…: relative to the workspace folder, or "hf:org/name@revision". */
  readonly path: string
}

/** One stage of a pipeline: a kind, a config as written (not yet decoded), and wires by input name. */
export interface StageDef {
  readonly id: string
  readonly kind: StageKind
  /** As the user wrote it, without `id`; `--set` is applied to this before decoding. */
  readonly config: Readonly<Record<string, unknown>>
  readonly inputs: Readonly<Record<string, Ref>>
  /** Outputs of this instance by name: artifact kinds (a subset of the kind's outputs when inputs are optional). */
  readonly outputs: Readonly<Record<string, string>>
}

export interface PipelineDef {
  readonly _tag: "Pipeline"
  readonly id: string
  readonly objective?: string
  readonly sources: readonly SourceDef[]
  readonly stages: readonly StageDef[]
}

/** What a stage's input is wired to, as far as it is known before anything runs. */
export interface PlannedInput {
  /** The stage that makes it; of a user's own kind nothing but the name is known. Absent for a source. */
  readonly producer?: { readonly id: string; readonly builtin?: { readonly kind: string; readonly config: unknown } }
  /** Folder of a source. Absent while it is not downloaded. */
  readonly path?: string
}

/** What a config leaves open ("auto"), as the plan settles it. */
export interface Settled {
  /** Plain JSON by field of the config: stands there, and in the key, as if it had been written. */
  readonly values: Readonly<Record<string, string | number>>
  /** Fields that nothing can be said of before a base model is downloaded; a run downloads first. */
  readonly open?: readonly string[]
  readonly warning?: string
}

/** What a stage kind is, with its types erased: `defineStage` gives the typed view. See stages/<kind>/stage.ts. */
export interface StageKind {
  readonly kind: string
  /** Bumped whenever the same inputs could give other outputs. */
  readonly version: number
  /** An effect Schema; decoding fills defaults. Its encoded form is plain JSON. */
  readonly config: Schema.Top
  /** Input name -> artifact kind it takes; a trailing "?" marks an input that may be left out. */
  readonly inputs: Readonly<Record<string, string>>
  /** Output name -> artifact kind. */
  readonly outputs: Readonly<Record<string, string>>
  /** Config paths (dotted) that never change a result: left out of the key. */
  readonly executionOnly?: readonly string[]
  /** External files named in the config, by config path: digested into the key instead of their path. */
  readonly files?: (config: never) => Readonly<Record<string, string | readonly string[]>>
  /**
   * Settles what the config leaves to the plan. Must depend on nothing that changes by itself (free memory, time): its values are in the key.
   * Loaded for every plan, so that what is heavy is loaded inside. Builtin stages only.
   */
  readonly settle?: () => Promise<{
    readonly settle: (config: never, inputs: Readonly<Record<string, PlannedInput>>, stage: string) => Settled | Promise<Settled>
  }>
  /** Facts of the runtime that change results, e.g. { onnxruntime: "1.30.0" }; of a settled config, whose open fields they do not read. */
  readonly facts?: (config: never) => Readonly<Record<string, string>>
  /** Runs in a process of its own (native code that may crash or block): builtin stages only. */
  readonly isolate?: boolean
  /** Variables that this process has from its start. */
  readonly environment?: (config: never) => Readonly<Record<string, string>>
  /** Where defineStage was called: set for a user's own stage, which is keyed by its module graph; absent for builtin ones. */
  readonly module?: string
  /** Loaded late, so that planning never loads native code. */
  readonly run: () => Promise<{ readonly run: (context: never) => Promise<StageResult> }>
}

/** What a finished stage says of its outputs; the files themselves lie where `context.output(name)` pointed. */
export interface StageResult {
  readonly rows?: Readonly<Record<string, number>>
  /** Final figures, shown by show, compare and models. */
  readonly metrics?: Readonly<Record<string, number | null>>
  /** One short line for people, e.g. "5574 rows, 403 duplicates". */
  readonly summary?: string
  /** A model version to enter into the registry together with the outputs, in the same transaction. */
  readonly registration?: { readonly name: string; readonly version: number; readonly aliases: readonly string[]; readonly output: string }
}
