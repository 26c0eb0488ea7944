// Prompt tuning (Lester et al. 2021) as PEFT defines it: the embeddings of V virtual tokens are trained, which stand in front of every row.
import { DataError } from "#src/domain/Errors.ts"
import type { PromptConfig } from "#src/formats/adapter/prompt.ts"
import { initialTensors } from "#src/models/initialWeights.ts"
import type { Model, Parameter } from "#src/models/Model.ts"
import type { Adapter } from "./Adapter.ts"
import type { PromptTuningOptions } from "./options.ts"
import { encoder, savedAs, savedName, tensorsOf } from "./promptTensors.ts"

export const promptConfigOf = ({ config }: Model, { numVirtualTokens, init }: PromptTuningOptions, baseModel: string): PromptConfig => ({
  peftType: "PROMPT_TUNING",
  baseModel,
  numVirtualTokens,
  tokenDim: config.hidden_size,
  numLayers: config.num_hidden_layers,
  numAttentionHeads: config.num_attention_heads,
  ...(init === "random" ? {} : { initText: init.text })
})

/** Virtual tokens get no factor of the family's embedding: begun from a text, they are its tokens' embeddings after it. */
export const promptAdapter = (model: Model, { numVirtualTokens }: PromptConfig): Adapter => {
  const shape = [numVirtualTokens, model.config.hidden_size]
  const adapterOver = (own: Parameter): Adapter => ({
    parameters: [own],
    numVirtualTokens,
    replaces: new Map(),
    dropout: { linears: [], share: 0 },
    hooks: ({ param }) => ({ virtualTokens: param(own.name) }),
    initial: (_, seed) => initialTensors([own], seed)
  })
  return {
    ...adapterOver({ name: encoder, shape, decay: true, init: { kind: "normal", std: 1 } }),
    saved: {
      adapter: adapterOver(savedAs(shape)),
      encode: (own) => tensorsOf([[savedName, () => own.read(encoder)]]),
      decode: (own) => tensorsOf([[encoder, () => own.read(savedName)]])
    },
    fromText: {
      tokens: (ids) => repeated(ids, numVirtualTokens),
      initial: ({ embeddings }) => tensorsOf([[encoder, () => embeddings]])
    }
  }
}

/** The text's tokens, again from the first one where there are too few. @throws DataError where there are none */
const repeated = (ids: readonly number[], count: number): readonly number[] => {
  if (ids.length > 0) return Array.from({ length: count }, (_, i) => ids[i % ids.length] as number)
  throw new DataError({ message: "the text of init has no tokens", where: "method.init", hint: "give another text, or begin at random" })
}
