// Runs a stage in a process of its own: native code may crash or run out of memory there without taking the engine along.
import { fork } from "node:child_process"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { FromChild, ToChild } from "#src/domain/ChildProtocol.ts"
import { crashCause } from "#src/domain/crash.ts"
import { AnnealError, BugError, CrashError, InterruptedError } from "#src/domain/Errors.ts"
import type { StageResult } from "#src/domain/Pipeline.ts"
import type { StageEvent } from "#src/domain/RunEvent.ts"
import type { StageTask } from "#src/domain/StageContext.ts"
import type { StageLog } from "#src/store/Log.ts"
import type { Control } from "./control.ts"
import { stageEnvironment } from "./stageEnvironment.ts"

export interface ChildOptions {
  /** File of the process: dist/stage-child.js. */
  readonly entry: string
  readonly kind: string
  /** Variables on top of the user's. */
  readonly environment: Readonly<Record<string, string>>
  readonly task: StageTask
  readonly log: StageLog
  readonly control: Control
  readonly onEvent: (event: StageEvent) => void
  readonly onStart: (pid: number) => void
}

/** How long a process that said its last word may take to go. */
const farewellMs = 5_000
const decodeError = Schema.decodeUnknownSync(AnnealError)

/** Errors: what the stage failed with; CrashError where its process died; InterruptedError after a stop. */
export const runInChild = (options: ChildOptions): Effect.Effect<StageResult, AnnealError> =>
  Effect.callback<StageResult, AnnealError>((resume) => {
    const { log, control, environment } = options
    // A process group of its own: Ctrl-C in the terminal reaches the engine alone, and one kill ends all of the group.
    const child = fork(options.entry, [], { detached: true, env: stageEnvironment(environment), stdio: ["ignore", log.fd, log.fd, "ipc"] })
    const send = (message: ToChild): void => void (child.connected && child.send(message))
    const kill = (): void => {
      try {
        if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL")
      } catch {
        // It was gone already.
      }
    }
    let last: Exclude<FromChild, { type: "event" }> | undefined
    let farewell: NodeJS.Timeout | undefined
    const offStop = control.onStop((level) => (level === "now" ? kill() : send({ type: "stop" })))
    const settle = (effect: Effect.Effect<StageResult, AnnealError>): void => {
      clearTimeout(farewell)
      offStop()
      resume(effect)
    }
    child.on("message", (message: FromChild) => {
      if (message.type === "event") return options.onEvent(message.event)
      last = message
      farewell = setTimeout(kill, farewellMs)
    })
    child.on("error", (error) => settle(Effect.fail(new BugError({ message: `the stage's process cannot be started: ${error.message}` }))))
    // Not "exit": that may come before the last messages are read.
    child.on("close", (code: number | null, signal: NodeJS.Signals | null) => settle(outcomeOf(options, last, code, signal)))
    if (child.pid !== undefined) {
      options.onStart(child.pid)
      send({ type: "start", kind: options.kind, task: options.task })
      if (control.level() !== "go") send({ type: "stop" })
    }
    return Effect.sync(() => {
      offStop()
      kill()
    })
  })

const outcomeOf = (
  { log, control, task }: ChildOptions,
  last: Exclude<FromChild, { type: "event" }> | undefined,
  code: number | null,
  signal: NodeJS.Signals | null
): Effect.Effect<StageResult, AnnealError> => {
  if (last?.type === "done") return Effect.succeed(last.result)
  if (last?.type === "failed") {
    if (last.stack !== undefined) log.write(last.stack)
    return Effect.fail(decodeError(last.error))
  }
  if (control.level() === "now") return Effect.fail(new InterruptedError({ message: "stopped at once", where: task.stage }))
  // Frames of a stack trace stay in the file.
  const lines = log
    .lastLines(100)
    .filter((line) => !/^\s*(at |\d+: |-{3,})/.test(line))
    .slice(-5)
  return Effect.fail(
    new CrashError({
      message: signal === null ? `its process ended with exit code ${code} without a result` : `its process was killed by ${signal}`,
      where: `stage ${task.stage}`,
      why: [crashCause(signal) ?? "", lines.length === 0 ? "it wrote nothing" : `it wrote last: ${lines.join(" | ")}`]
        .filter((text) => text !== "")
        .join("; "),
      hint: `read ${log.path}, then run the same command: it goes on from the last checkpoint`
    })
  )
}
