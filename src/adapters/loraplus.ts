// LoRA+ (Hayou et al. 2024) as PEFT's create_loraplus_optimizer groups tensors: B tensors and vectors learn faster than A tensors,
// an adapter on the token embedding at a rate of its own.
import type { Parameter } from "#src/models/Model.ts"
import type { LoraOptions } from "./options.ts"

/** The parameters with their factors of `learningRate`; as they are where the method asks for no LoRA+. */
export const withLoraPlus = (
  parameters: readonly Parameter[],
  options: Pick<LoraOptions, "loraplusLrRatio" | "loraplusLrEmbedding">,
  learningRate: number
): readonly Parameter[] => {
  const { loraplusLrRatio: ratio, loraplusLrEmbedding: embedding } = options
  if (ratio === undefined) return parameters
  return parameters.map((parameter) => {
    if (parameter.name.includes(".lora_embedding_")) return { ...parameter, learningRateScale: embedding / learningRate }
    return parameter.name.includes("lora_B") || parameter.shape.length === 1 ? { ...parameter, learningRateScale: ratio } : parameter
  })
}
