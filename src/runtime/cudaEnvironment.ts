// What a process that computes on CUDA is given from its start.

/**
 * cuBLAS is asked for TF32 by ONNX Runtime's provider, and asked by the first variable to compute in float32 all the same: it is no choice, because
 * a result's key says float32. Up to 13.1 cuBLAS looks at that variable only if one field of its handle is not 1, and leaves that field as malloc
 * found it (13.2 sets it to 0): one session in some hundreds rounded to TF32. With the second variable glibc's malloc gives zeroed memory.
 */
export const cudaEnvironment = { NVIDIA_TF32_OVERRIDE: "0", GLIBC_TUNABLES: "glibc.malloc.perturb=255" } as const
