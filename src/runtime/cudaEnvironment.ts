// What a process that computes on CUDA is given from its start.

/**
 * glibc gives freed blocks of this size or less back to the process, not to the system. ONNX Runtime's interface for Node.js copies each result into
 * new memory: without this, every run of steps would have the pages of all weights and of the optimizer's state mapped and cleared anew, 70 ms for
 * 113 MB instead of 7.
 */
const keptBytes = 2 ** 40

/**
 * cuBLAS is asked for TF32 by ONNX Runtime's provider, and asked by the first variable to compute in float32 all the same: it is no choice, because
 * a result's key says float32. Up to 13.1 cuBLAS looks at that variable only if one field of its handle is not 1, and leaves that field as malloc
 * found it (13.2 sets it to 0): one session in some hundreds rounded to TF32. With glibc.malloc.perturb its malloc gives zeroed memory.
 */
export const cudaEnvironment = {
  NVIDIA_TF32_OVERRIDE: "0",
  GLIBC_TUNABLES: [`mmap_threshold=${keptBytes}`, `trim_threshold=${keptBytes}`, "perturb=255"]
    .map((each) => `glibc.malloc.${each}`)
    .join(":")
} as const
