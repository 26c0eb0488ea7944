// What device: "auto" means on a machine. Asked for by every plan, so it loads no runtime.

export interface AutoDevice {
  readonly device: "cpu"
  /** For people: what decided. */
  readonly why: string
}

/**
 * The fastest device that training is sure to work on and that gives the same numbers each time: the CPU, until training has been run on CUDA.
 * Never WebGPU: an adapter may be a GPU in software, which is slower than the CPU, and a GPU adds in no fixed order.
 */
export const autoDevice = (): AutoDevice => ({
  device: "cpu",
  why: 'training was never run on a CUDA device yet, so that one has to be named, and "webgpu" is used only where it is named'
})
