// A replica as the stage's process sees it: a process that is started, told, listened to and ended. Its death is an error of whoever
// waits for it.
import { type ChildProcess, fork } from "node:child_process"
import * as Schema from "effect/Schema"
import { crashCause } from "#src/domain/crash.ts"
import { AnnealError, CrashError } from "#src/domain/Errors.ts"
import { exchangeFd, type FromReplica, type ToReplica } from "./protocol.ts"

export type Result = Extract<FromReplica, { type: "result" }>

export class Replica {
  readonly #child: ChildProcess
  readonly #gone: Promise<void>
  readonly #results: Result[] = []
  #failure: AnnealError | undefined
  #wake: () => void = () => undefined

  /** `entry`: file of the process; `name`: "worker 2 of 3"; `exchange`: an open file that it inherits. */
  constructor(entry: string, name: string, exchange: number) {
    // In the stage's own process group: whoever ends the group ends it too.
    this.#child = fork(entry, [], { serialization: "advanced", stdio: ["ignore", "inherit", "inherit", "ipc", exchange] })
    if (exchangeFd !== 4) throw new RangeError("stdio and exchangeFd must agree")
    this.#child.on("message", (message: FromReplica) => {
      if (message.type === "result") this.#results.push(message)
      else this.#failure ??= Schema.decodeUnknownSync(AnnealError)(message.error)
      this.#wake()
    })
    const failed = (error: AnnealError): void => {
      this.#failure ??= error
      this.#wake()
    }
    this.#gone = new Promise((gone) => {
      this.#child.on("error", (error) => {
        failed(died(name, `cannot be started: ${error.message}`, null))
        if (this.#child.pid === undefined) gone()
      })
      this.#child.on("close", (code, signal) => {
        failed(died(name, signal === null ? `ended with exit code ${code}` : `was killed by ${signal}`, signal))
        gone()
      })
    })
  }

  /** A replica that is gone hears nothing: waiting for its result tells. */
  send(message: ToReplica): void {
    if (this.#child.connected) this.#child.send(message, () => undefined)
  }

  /** Its next result. @throws what it failed with, CrashError where it died */
  async next(): Promise<Result> {
    for (;;) {
      const result = this.#results.shift()
      if (result !== undefined) return result
      if (this.#failure !== undefined) throw this.#failure
      await new Promise<void>((wake) => (this.#wake = wake))
    }
  }

  /** Ends it at once; done when it is gone. */
  end(): Promise<void> {
    this.#child.kill("SIGKILL")
    return this.#gone
  }
}

const died = (name: string, how: string, signal: string | null): CrashError =>
  new CrashError({
    message: `${name} of this training ${how}`,
    why: crashCause(signal) ?? "the stage's log holds what it wrote",
    hint: "run the same command: it goes on from the last checkpoint; where memory is short, lower workers, which changes no result"
  })
