// Flags and arguments that several commands share, so that each means the same everywhere.
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"

/** A flag that may be left out and then is undefined. */
export const maybe = <A>(flag: Flag.Flag<A>) => flag.pipe(Flag.optional, Flag.map(Option.getOrUndefined))

export const json = Flag.Boolean("json").pipe(Flag.withDescription("print one JSON object"), Flag.withDefault(false))
export const ascii = Flag.Boolean("ascii").pipe(Flag.withDescription("plain ASCII glyphs"), Flag.withDefault(false))
export const wide = Flag.Boolean("wide").pipe(Flag.withDescription("whole digests and values"), Flag.withDefault(false))
export const markdown = Flag.Boolean("md").pipe(Flag.withDescription("print a Markdown table"), Flag.withDefault(false))
export const artifacts = maybe(
  Flag.String("artifacts").pipe(Flag.withMetavar("folder"), Flag.withDescription("store folder; default ANNEAL_ARTIFACTS, else artifacts/"))
)
export const set = Flag.String("set").pipe(
  Flag.withMetavar("stage.field=value"),
  Flag.withDescription("change one field of one stage's config; repeatable"),
  Flag.atLeast(0)
)
/** A list of stage ids: given several times, or once with commas. */
export const stages = (name: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar("stage"),
    Flag.withDescription(description),
    Flag.atLeast(0),
    Flag.map((given) => given.flatMap((part) => part.split(",")).filter((part) => part !== ""))
  )
export const pipeline = Argument.String("pipeline").pipe(Argument.withDescription("name of a file in pipelines/, or a path"))
export const targets = Argument.String("stage").pipe(Argument.withDescription("only these stages and what they need"), Argument.variadic())
export const run = Argument.String("run").pipe(Argument.withDescription("name of a run, or latest"))
