// What a stage's process is given on top of the user's environment.
import { expect, test } from "vitest"
import { stageEnvironment } from "#src/engine/stageEnvironment.ts"
import { cudaEnvironment } from "#src/runtime/cudaEnvironment.ts"

test("the user's tunables come last, so that they win; all else stays", () => {
  const user = { HOME: "/home/me", GLIBC_TUNABLES: "glibc.malloc.mmap_threshold=1" }
  expect(stageEnvironment({}, user)).toEqual(user)
  expect(stageEnvironment({}, {})).toEqual({})
  const own = { GLIBC_TUNABLES: "glibc.malloc.perturb=255" }
  expect(stageEnvironment(own, { GLIBC_TUNABLES: "" })).toEqual(own)
  expect(stageEnvironment(own, user)).toEqual({ ...user, GLIBC_TUNABLES: "glibc.malloc.perturb=255:glibc.malloc.mmap_threshold=1" })
})

test("on CUDA float32 is not TF32, whatever the user's environment says, and memory starts as zeros", () => {
  const env = stageEnvironment(cudaEnvironment, { NVIDIA_TF32_OVERRIDE: "1", GLIBC_TUNABLES: "glibc.malloc.mmap_threshold=1" })
  expect(env["NVIDIA_TF32_OVERRIDE"]).toBe("0")
  expect(env["GLIBC_TUNABLES"]).toMatch(/:glibc\.malloc\.perturb=255:glibc\.malloc\.mmap_threshold=1$/)
})
