// The layers of a LoRA adapter: which modules, each one's rank and scale, and the names and first values of its tensors.
import { DataError } from "#src/domain/Errors.ts"
import type { LoraConfig } from "#src/formats/adapter/lora.ts"
import type { Init, Linear, Model, Parameter } from "#src/models/Model.ts"
import { patternOf, targetsOf } from "./targets.ts"

export interface LoraLayer {
  readonly path: string
  /** Absent: the token embedding. */
  readonly linear?: Linear
  readonly r: number
  /** Factor of B A: loraAlpha / r, or loraAlpha / sqrt(r) with useRslora. */
  readonly scale: number
  /** Names as PEFT saves them. A [r, in], B [out, r]; of the embedding A [r, vocab], B [hidden, r]. */
  readonly a: Parameter
  readonly b: Parameter
  /** DoRA's lengths of the rows, [out]. */
  readonly magnitude?: Parameter
}

/**
 * First values, as PEFT's reset_lora_parameters: A of kaiming_uniform(a = sqrt 5), which is U(-1/sqrt(in), 1/sqrt(in)), or
 * normal with std 1 / r ("gaussian"), and B = 0, so that a fresh adapter changes nothing; with `false` B is filled as PyTorch
 * fills a linear layer of r inputs.
 */
const linearInits = (kind: LoraConfig["initLoraWeights"], r: number, inFeatures: number): { readonly a: Init; readonly b: Init } => ({
  a: kind === "gaussian" ? { kind: "normal", std: 1 / r } : { kind: "uniform", bound: 1 / Math.sqrt(inFeatures) },
  b: kind === false ? { kind: "uniform", bound: 1 / Math.sqrt(r) } : { kind: "constant", value: 0 }
})

/** Of the embedding it is A that begins as 0; with `false` both are normal. */
const embeddingInits = (kind: LoraConfig["initLoraWeights"]): { readonly a: Init; readonly b: Init } => ({
  a: kind === false ? { kind: "normal", std: 1 } : { kind: "constant", value: 0 },
  b: { kind: "normal", std: 1 }
})

/** @throws DataError where no module is adapted, DoRA the embedding, or a pattern is no regular expression */
export const loraLayers = (model: Model, config: LoraConfig): readonly LoraLayer[] => {
  const { linears, embedding } = targetsOf(model, config)
  if (embedding && config.useDora)
    throw new DataError({
      message: "useDora: DoRA is not offered for the token embedding",
      where: `targetModules, ${model.embedding}`,
      hint: `leave ${model.embedding} out of targetModules, or use plain LoRA`
    })
  const of = (path: string) => {
    const rank = patternOf(Object.keys(config.rankPattern), path, "rankPattern")
    const alpha = patternOf(Object.keys(config.alphaPattern), path, "alphaPattern")
    const r = rank === undefined ? config.r : (config.rankPattern[rank] as number)
    const loraAlpha = alpha === undefined ? config.loraAlpha : (config.alphaPattern[alpha] as number)
    return { path, r, scale: loraAlpha / (config.useRslora ? Math.sqrt(r) : r) }
  }
  const parameter = (name: string, shape: readonly number[], init: Init): Parameter => ({
    name: `base_model.model.${name}`,
    shape,
    decay: true,
    init
  })
  const embedded = (path: string): LoraLayer => {
    const layer = of(path)
    const inits = embeddingInits(config.initLoraWeights)
    return {
      ...layer,
      a: parameter(`${path}.lora_embedding_A`, [layer.r, model.vocabSize], inits.a),
      b: parameter(`${path}.lora_embedding_B`, [model.config.hidden_size, layer.r], inits.b)
    }
  }
  return [
    ...(embedding ? [embedded(model.embedding)] : []),
    ...linears.map((linear): LoraLayer => {
      const { path, inFeatures, outFeatures } = linear
      const layer = of(path)
      const inits = linearInits(config.initLoraWeights, layer.r, inFeatures)
      return {
        ...layer,
        linear,
        a: parameter(`${path}.lora_A.weight`, [layer.r, inFeatures], inits.a),
        b: parameter(`${path}.lora_B.weight`, [outFeatures, layer.r], inits.b),
        // Filled from the base's weights: see initial in lora.ts.
        ...(config.useDora ? { magnitude: parameter(`${path}.lora_magnitude_vector`, [outFeatures], { kind: "constant", value: 1 }) } : {})
      }
    })
  ]
}

/** The layer's tensors in PEFT's order. */
export const tensorsOf = ({ a, b, magnitude }: LoraLayer): readonly Parameter[] => [a, b, ...(magnitude === undefined ? [] : [magnitude])]
