// Float32 arrays in shared WebAssembly memories: the SIMD kernels change them in place and ONNX Runtime reads and fills
// them without a copy. One memory holds less than 4 GiB, so large models get several.
import { EnvironmentError } from "#src/domain/Errors.ts"
import { loadKernels, type Kernels } from "./kernels/load.ts"

const page = 65536
/** The last pages stay free, so that an end address never wraps around 2^32. */
const maxBytes = (page - 16) * page
/** Whole cache lines, and whole SIMD vectors with zeros after the last element. */
const align = 64
export const padded = (elements: number): number => Math.ceil((elements * 4) / align) * align

export interface SharedMemory {
  readonly memory: WebAssembly.Memory
  readonly kernels: Kernels
  /** Room for each thread. */
  readonly stages: readonly Stage[]
}

/** Arrays in one memory, so that one kernel call can reach them all. */
export interface ArrayGroup {
  readonly memory: SharedMemory
  readonly kernels: Kernels
  readonly arrays: readonly Float32Array[]
  /** Byte address of each array in its memory. */
  readonly addresses: readonly number[]
  /** Bytes of the first array with its padding. */
  readonly bytes: number
}

export interface Stage {
  readonly data: Float32Array
  readonly address: number
}

/**
 * Zeroed groups of `count` arrays, one group per entry of `sizes` (elements).
 * @throws EnvironmentError where one group does not fit into a memory, or the machine has too little
 */
export const sharedArrays = (sizes: readonly number[], count: number): readonly ArrayGroup[] =>
  sharedGroups(sizes.map((size) => new Array<number>(count).fill(size)))

/** The same with arrays of the sizes (elements) that each group lists, none of them empty, and `threads` stages of `staged` elements in each memory. */
export const sharedGroups = (groups: readonly (readonly number[])[], staged = 0, threads = 1): readonly ArrayGroup[] => {
  const begin = align + threads * padded(staged)
  const memories: { bytes: number; readonly members: { readonly sizes: readonly number[]; readonly at: number }[] }[] = []
  for (const sizes of groups) {
    const bytes = sizes.reduce((sum, size) => sum + padded(size), 0)
    if (begin + bytes > maxBytes) throw tooLarge(sizes)
    let memory = memories.at(-1)
    if (memory === undefined || memory.bytes + bytes > maxBytes) memories.push((memory = { bytes: begin, members: [] }))
    memory.members.push({ sizes, at: memory.bytes })
    memory.bytes += bytes
  }
  return memories.flatMap(({ bytes, members }) => {
    const { memory, kernels } = allocate(bytes)
    const stages = Array.from({ length: threads }, (_, thread) => {
      const address = align + thread * padded(staged)
      return { data: new Float32Array(memory.buffer, address, padded(staged) / 4), address }
    })
    const shared = { memory, kernels, stages }
    return members.map(({ sizes, at }) => {
      const addresses = sizes.map((_, i) => at + sizes.slice(0, i).reduce((sum, size) => sum + padded(size), 0))
      const arrays = sizes.map((size, i) => new Float32Array(memory.buffer, addresses[i], size))
      return { memory: shared, kernels, addresses, arrays, bytes: padded(sizes[0] as number) }
    })
  })
}

const allocate = (bytes: number): Pick<SharedMemory, "memory" | "kernels"> => {
  const pages = Math.ceil(bytes / page)
  try {
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
    return { memory, kernels: loadKernels(memory) }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new EnvironmentError({
      message: `no memory for ${(bytes / 2 ** 30).toFixed(1)} GiB of training state`,
      why: error.message,
      hint: "train an adapter with lora(), or a smaller model"
    })
  }
}

const tooLarge = (sizes: readonly number[]): EnvironmentError =>
  new EnvironmentError({
    message: `a tensor of ${sizes[0]} values is too large to be trained on this device`,
    why: `its ${sizes.length} arrays of training state do not fit into one memory of 4 GiB`,
    hint: "train an adapter with lora() instead"
  })
