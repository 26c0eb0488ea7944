// What device: "auto" means on a machine. Asked for by every plan, so it loads no runtime.

export interface AutoDevice {
  readonly device: "cpu"
  /** For people: what decided. */
  readonly why: string
}

/**
 * The fastest device that gives the same numbers each time: the CPU. On CUDA a few trainings in a hundred came out further from the CPU's than
 * rounding explains (docs/performance.md). Never WebGPU: an adapter may be a GPU in software, which is slower than the CPU.
 */
export const autoDevice = (): AutoDevice => ({
  device: "cpu",
  why: "a GPU is used only where it is named: its numbers are not the same in each run"
})
