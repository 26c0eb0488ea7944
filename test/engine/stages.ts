// Stages that count how often they ran, and a bench that runs pipelines of them: the oracle of the engine's tests is the
// counter file and the events, never a log text. No test library here: runner.ts uses it in processes of its own.
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { PipelineDef, Ref, StageKind, StageResult } from "#src/domain/Pipeline.ts"
import type { RunEvent } from "#src/domain/RunEvent.ts"
import type { StageContext } from "#src/domain/StageContext.ts"
import { addStage, pipeline } from "#src/engine/define.ts"
import { Executor, type RunOptions, type RunSummary } from "#src/engine/Executor.ts"
import { prepare, type Prepared, type PrepareOptions } from "#src/engine/prepare.ts"
import { Catalog } from "#src/store/Catalog.ts"
import { Workspace } from "#src/store/Workspace.ts"

export const write = (root: string, path: string, text: string): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

const CountingConfig = Schema.Struct({
  text: Schema.optionalKey(Schema.String),
  file: Schema.optionalKey(Schema.String),
  counter: Schema.String
})
type CountingConfig = typeof CountingConfig.Type
export type Body = (context: StageContext<CountingConfig>) => Promise<StageResult | void>

const inputTexts = (context: StageContext<CountingConfig>): readonly string[] =>
  Object.values(context.inputs).map((input) => readFileSync(input.path, "utf8"))

/** Writes its config's text, its file's text and its inputs' texts, one under the other. */
export const concatenate: Body = async (context) => {
  const file = context.files["file"]
  const parts = [context.config.text ?? "", typeof file === "string" ? readFileSync(file, "utf8") : "", ...inputTexts(context)]
  writeFileSync(context.output("out"), parts.join("\n"))
  return { metrics: { length: parts.join("\n").length } }
}

/** A kind with one output `out` whose body appends its stage's id to the counter file, then does `body`. */
export const counting = (
  kind: string,
  inputs: Readonly<Record<string, string>>,
  body: Body = concatenate,
  extra: Partial<StageKind> = {}
): StageKind => ({
  kind,
  version: 1,
  config: CountingConfig,
  inputs,
  outputs: { out: "text" },
  executionOnly: ["counter"],
  files: (config: CountingConfig) => (config.file === undefined ? {} : { file: config.file }),
  run: async () => ({
    run: async (context: StageContext<CountingConfig>) => {
      appendFileSync(context.config.counter, `${context.stage}\n`)
      return (await body(context)) ?? {}
    }
  }),
  ...extra
})

export interface Bench {
  readonly root: string
  readonly events: RunEvent[]
  /** Ids of the stages that ran since it was last asked. */
  readonly ran: () => readonly string[]
  readonly prepare: (definition: PipelineDef, options?: PrepareOptions) => Promise<Prepared>
  readonly run: (
    definition: PipelineDef,
    options?: PrepareOptions & Partial<RunOptions>
  ) => Promise<RunSummary & { readonly plan: Prepared["plan"] }>
  readonly catalog: <A>(use: (catalog: Catalog["Service"]) => Effect.Effect<A, unknown>) => Promise<A>
  /** One stage of a pipeline: `add(kind, wires, config)`; call it inside pipeline(). */
  readonly add: (kind: StageKind, inputs: Readonly<Record<string, Ref>>, config?: Readonly<Record<string, unknown>>) => Ref<"text">
}

export const benchIn = (root: string): Bench => {
  const counter = join(root, "counter.txt")
  const events: RunEvent[] = []
  let seen = 0
  const services = Executor.layer.pipe(Layer.provideMerge(Catalog.layer), Layer.provideMerge(Workspace.layer({ cwd: root })))
  const execute = <A>(effect: Effect.Effect<A, unknown, Executor | Catalog | Workspace>): Promise<A> =>
    Effect.runPromise(Effect.provide(effect, services))
  return {
    root,
    events,
    ran: () => {
      const all = existsSync(counter) ? readFileSync(counter, "utf8").trim().split("\n") : []
      const fresh = all.slice(seen)
      seen = all.length
      return fresh
    },
    prepare: (definition, options) => execute(prepare(definition, options)),
    run: (definition, options = {}) =>
      execute(
        Effect.gen(function* () {
          const prepared = yield* prepare(definition, { ...options, remember: true })
          const executor = yield* Executor
          const listener = (event: RunEvent): void => void events.push(event)
          const summary = yield* executor.run(prepared, { childEntry: "none", listener, ...options })
          return { ...summary, plan: prepared.plan }
        })
      ),
    catalog: (use) => execute(Effect.flatMap(Catalog, use)),
    add: (kind, inputs, config = {}) => addStage<{ out: "text" }>(kind, inputs, { counter, ...config })
  }
}

/** read -> left, right -> join: two arms between one source file and one end. */
export const diamond = ({ add, root }: Bench, texts: { readonly left?: string; readonly right?: string } = {}): PipelineDef => {
  if (!existsSync(join(root, "in.txt"))) write(root, "in.txt", "rows")
  return pipeline("diamond", () => {
    const read = add(counting("read", {}), {}, { file: "in.txt" })
    const left = add(counting("left", { a: "text" }), { a: read }, { text: texts.left ?? "l" })
    const right = add(counting("right", { a: "text" }), { a: read }, { text: texts.right ?? "r" })
    add(counting("join", { a: "text", b: "text" }), { a: left, b: right })
  })
}

export const decisions = (prepared: { readonly plan: Prepared["plan"] }): Readonly<Record<string, string>> =>
  Object.fromEntries(prepared.plan.map((stage) => [stage.id, stage.decision]))
