// Names and forms of the tensors of prefix and prompt tuning: an encoder is trained, what it makes is saved.
import type { Parameter, Weights } from "#src/models/Model.ts"

/** The trained embedding, as PEFT names it. */
export const encoder = "prompt_encoder.embedding.weight"

/** The one tensor of PEFT's file: what the encoder makes, a row a virtual token. */
export const savedName = "prompt_embeddings"

export const savedAs = (shape: readonly number[]): Parameter => ({
  name: savedName,
  shape,
  decay: true,
  init: { kind: "normal", std: 1 }
})

/** Tensors by name, made when they are read. */
export const tensorsOf = (tensors: readonly (readonly [string, () => Float32Array])[]): Weights => {
  const byName = new Map(tensors)
  return {
    has: (name) => byName.has(name),
    read: (name, into) => {
      const values = byName.get(name)?.()
      if (values === undefined) throw new RangeError(`no tensor is named ${name}`)
      into?.set(values)
      return into ?? values
    }
  }
}
