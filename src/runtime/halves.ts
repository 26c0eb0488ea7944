// Frozen weights rounded to 16 bits: written once to a file of the work folder, which the runtime then maps. On CPU this is what a
// 16-bit dtype means: the computation, trained weights, gradients and the optimizer's state stay float32.
import { join } from "node:path"
import type { Parameter, Weights } from "#src/models/Model.ts"
import { type SavedDType, savedDTypes } from "#src/models/save.ts"
import { openTensorFile, readTensor, writeTensorFile } from "#src/models/weights.ts"

/** `weights` with the tensors `frozen` in `dtype`, those in 4 bits left out. `folder`: where the file may lie. @throws DataError */
export const heldAs = (dtype: SavedDType, frozen: readonly Parameter[], weights: Weights, folder: string): Weights => {
  const wanted = frozen.filter(({ name }) => weights.quantized?.(name) === undefined)
  const isHeld = ({ name }: Parameter): boolean => weights.stored?.(name)?.dtype === savedDTypes[dtype]
  if (dtype === "float32" || wanted.every(isHeld)) return weights
  // A replica of the same training writes its own.
  const path = join(folder, `frozen.${dtype}.${process.pid}.safetensors`)
  writeTensorFile(path, wanted, (name) => weights.read(name), savedDTypes[dtype])
  const tensors = openTensorFile(path)
  return {
    ...weights,
    read: (name, into) => {
      const tensor = tensors.get(name)
      return tensor === undefined ? weights.read(name, into) : readTensor(tensor, into)
    },
    stored: (name) => tensors.get(name) ?? weights.stored?.(name)
  }
}
