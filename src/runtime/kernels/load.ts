// Binds the SIMD kernels (kernels.as.ts, built to dist/kernels.wasm) to a shared memory.
import { existsSync, readFileSync } from "node:fs"
import { EnvironmentError } from "#src/domain/Errors.ts"

/** Addresses are byte offsets into the bound memory, multiples of 16; `bytes` is a multiple of 16. */
export interface Kernels {
  readonly adamw: (
    p: number,
    g: number,
    m: number,
    v: number,
    bytes: number,
    clip: number,
    decay: number,
    beta1: number,
    rest1: number,
    beta2: number,
    rest2: number,
    stepSize: number,
    rootBias: number,
    epsilon: number
  ) => void
  readonly lion: (
    p: number,
    g: number,
    m: number,
    bytes: number,
    clip: number,
    decay: number,
    beta1: number,
    rest1: number,
    beta2: number,
    rest2: number,
    learningRate: number
  ) => void
  readonly sgd: (p: number, g: number, bytes: number, clip: number, weightDecay: number, learningRate: number) => void
  readonly sgdMomentum: (
    p: number,
    g: number,
    m: number,
    bytes: number,
    clip: number,
    weightDecay: number,
    momentum: number,
    learningRate: number
  ) => void
  readonly adafactorMatrixSquares: (
    g: number,
    row: number,
    col: number,
    scratch: number,
    rows: number,
    columns: number,
    clip: number,
    epsilon: number,
    beta2: number,
    rest2: number
  ) => number
  readonly adafactorMatrixMove: (
    p: number,
    g: number,
    row: number,
    scratch: number,
    rows: number,
    columns: number,
    clip: number,
    decay: number,
    rate: number
  ) => void
  readonly adafactorVectorSquares: (
    g: number,
    v: number,
    bytes: number,
    clip: number,
    epsilon: number,
    beta2: number,
    rest2: number
  ) => number
  readonly adafactorVectorMove: (p: number, g: number, v: number, bytes: number, clip: number, decay: number, rate: number) => void
  readonly sumSquares: (a: number, bytes: number) => number
  readonly accumulate: (a: number, b: number, bytes: number) => void
  readonly pull: (g: number, p: number, p0: number, bytes: number, lambda: number) => void
  readonly dropoutMask: (a: number, from: number, count: number, site: bigint, document: bigint, threshold: number, kept: number) => void
  readonly attentionMask: (
    a: number,
    heads: number,
    queries: number,
    keys: number,
    prefix: number,
    start: number,
    length: number,
    site: bigint,
    document: bigint,
    threshold: number,
    kept: number
  ) => void
  readonly uniformNoise: (a: number, count: number, site: bigint, document: bigint, magnitude: number) => void
}

// Beside the bundle's entries, above its chunks, or in dist/ when the sources run.
const places = ["./kernels.wasm", "../kernels.wasm", "../../../dist/kernels.wasm"]

let compiled: WebAssembly.Module | undefined

const compile = (): WebAssembly.Module => {
  const file = places.map((place) => new URL(place, import.meta.url)).find((url) => existsSync(url))
  if (file === undefined) throw new EnvironmentError({ message: "dist/kernels.wasm is missing", hint: "build it with: npm run build" })
  return new WebAssembly.Module(readFileSync(file))
}

/** @throws EnvironmentError where the kernels were never built */
export const loadKernels = (memory: WebAssembly.Memory): Kernels => {
  compiled ??= compile()
  return new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as Kernels
}
