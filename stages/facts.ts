// Facts of the runtime that change numbers, and so belong in the keys of train and evaluate.
import { createRequire } from "node:module"

/** Device kind, precision and the installed ONNX Runtime's version (read from its package.json: the library is not loaded). */
export const runtimeFacts = (config: { readonly device: string; readonly dtype: string }): Readonly<Record<string, string>> => ({
  onnxruntime: (createRequire(import.meta.url)("onnxruntime-node/package.json") as { readonly version: string }).version,
  device: config.device,
  precision: config.dtype
})
