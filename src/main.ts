// bin: layers and runMain, nothing else.
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import { app } from "#src/cli/app.ts"

// A reader that closes the pipe early (`anneal runs | head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") process.stderr.write(`✘ the output cannot be written: ${error.message}\n`)
  process.exit(error.code === "EPIPE" ? 0 : 70)
})

app(process.argv.slice(2)).pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain({ disableErrorReporting: true }))
