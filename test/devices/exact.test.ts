// float32 is float32 on every device, whatever is left in the memory that its libraries get (src/runtime/cudaEnvironment.ts).
import { execFileSync } from "node:child_process"
import { resolve } from "node:path"
import { expect, test } from "vitest"
import { stageEnvironment } from "#src/engine/stageEnvironment.ts"
import { cudaEnvironment } from "#src/runtime/cudaEnvironment.ts"
import { hasCuda } from "./gpus.ts"

const roundedOn = (device: string, sessions: number): number => {
  const args = ["--conditions=source", "--no-warnings", "--expose-gc", resolve(import.meta.dirname, "poisoned.ts")]
  const env = stageEnvironment(device === "cuda" ? cudaEnvironment : {})
  return Number(execFileSync(process.execPath, [...args, device, String(sessions)], { env, encoding: "utf8" }))
}

test("on the CPU", () => expect(roundedOn("cpu", 2)).toBe(0))
// Without the environment of a stage's process a fifth of them round where cuBLAS is older than 13.2.
test.skipIf(!hasCuda)("on CUDA", () => expect(roundedOn("cuda", 60)).toBe(0))
