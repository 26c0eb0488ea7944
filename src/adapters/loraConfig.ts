// LoRA's options as the config that PEFT saves, with every setting checked against the model: none may be without effect.
import { DataError } from "#src/domain/Errors.ts"
import { given } from "#src/formats/adapter/fields.ts"
import type { LoraConfig } from "#src/formats/adapter/lora.ts"
import type { Model } from "#src/models/Model.ts"
import { loraLayers } from "./loraLayers.ts"
import type { LoraOptions } from "./options.ts"
import { checkSavedModules } from "./savedModules.ts"
import { checkPatterns, checkTargets, writtenModules } from "./targets.ts"

/** @throws DataError naming the option that does not fit the model, with what would */
export const loraConfigOf = (model: Model, options: LoraOptions, baseModel: string): LoraConfig => {
  const { targetModules = model.targets.lora } = options
  const config: LoraConfig = {
    peftType: "LORA",
    baseModel,
    r: options.r,
    loraAlpha: options.loraAlpha,
    loraDropout: options.loraDropout,
    bias: options.bias,
    targetModules: writtenModules(model, targetModules),
    ...given("excludeModules", options.excludeModules),
    rankPattern: options.rankPattern,
    alphaPattern: options.alphaPattern,
    ...given("layersToTransform", options.layersToTransform),
    ...given("layersPattern", options.layersPattern),
    ...given("modulesToSave", options.modulesToSave),
    ensureWeightTying: options.ensureWeightTying,
    initLoraWeights: options.initLoraWeights,
    useRslora: options.useRslora,
    useDora: options.useDora,
    fanInFanOut: model.linears.some(({ transposed }) => transposed === true)
  }
  checkTargets(model, { ...config, targetModules })
  const paths = loraLayers(model, config).map(({ path }) => path)
  checkSavedModules(model, config.modulesToSave ?? [], paths)
  checkPatterns("rankPattern", Object.keys(config.rankPattern), paths)
  checkPatterns("alphaPattern", Object.keys(config.alphaPattern), paths)
  const refuse = (message: string, hint: string): never => {
    throw new DataError({ message, where: "method", hint })
  }
  if (config.ensureWeightTying && !model.config.tie_word_embeddings)
    refuse("ensureWeightTying: this model's head and embedding are not tied", "leave ensureWeightTying out")
  if (config.ensureWeightTying && paths.some((path) => path === model.embedding || path === model.head.path))
    refuse("ensureWeightTying: is offered for modulesToSave, not for targetModules", "train the embedding whole with modulesToSave")
  return config
}
