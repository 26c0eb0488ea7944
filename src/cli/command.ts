// How a command's work is joined to effect/cli: an async function whose errors are AnnealErrors and whose number is the exit code.
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { type AnnealError, BugError, isAnnealError, StageError, toAnnealError } from "#src/domain/Errors.ts"

/** The end of a command whose output was printed already: carries its exit code to the process. */
export class Exit extends Error {
  override readonly [Runtime.errorExitCode]: number
  override readonly [Runtime.errorReported] = false
  constructor(code: number) {
    super(`exit ${code}`)
    this[Runtime.errorExitCode] = code
  }
}

/** Anything thrown outside a stage: the user's error, the machine's, or else a bug of ours with its stack. */
export const asError = (thrown: unknown): AnnealError => {
  if (isAnnealError(thrown)) return thrown
  const error = toAnnealError(thrown, "anneal")
  return error instanceof StageError ? bug(thrown) : error
}

const bug = (thrown: unknown): BugError =>
  new BugError({
    message: thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown),
    where: thrown instanceof Error ? (thrown.stack ?? "").split("\n").slice(1, 6).join("\n").trim() : "unknown",
    why: "this is a bug in anneal, not in your pipeline",
    hint: "report it with this text, the command, the output of `anneal doctor` and the run's events.jsonl"
  })

/** @param work may return an exit code; without one the command ends with 0 */
export const handler =
  <Input>(work: (input: Input) => Promise<number | void>) =>
  (input: Input): Effect.Effect<void, AnnealError | Exit> =>
    Effect.tryPromise({ try: () => work(input), catch: asError }).pipe(
      Effect.flatMap((code) => (code === undefined || code === 0 ? Effect.void : Effect.fail(new Exit(code))))
    )
