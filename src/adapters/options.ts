// Training methods as options: what a pipeline file writes as `method`. Names are PEFT's in camelCase.
import * as Schema from "effect/Schema"
import { Count, field, optional, Positive, PositiveInt } from "#src/domain/config.ts"

/** Weights of the model itself are trained. */
export const FullMethod = Schema.Struct({
  type: Schema.Literal("full"),
  trainable: optional(
    Schema.NonEmptyArray(Schema.NonEmptyString),
    'names of the tensors to train, * standing for any text, e.g. ["model.layers.1*", "lm_head.weight"]; the others stay. Default: all'
  )
})

export type FullOptions = typeof FullMethod.Type

const Names = Schema.NonEmptyArray(Schema.NonEmptyString)
const NamesOrPattern = Schema.Union([Schema.NonEmptyString, Names])

/** Low-rank adaptation (Hu et al. 2021), as PEFT defines it: h = W0 x + (loraAlpha / r) B(A(dropout(x))). */
export const LoraMethod = Schema.Struct({
  type: Schema.Literal("lora"),
  r: field(PositiveInt, 8, "rank of the update"),
  loraAlpha: field(Positive, 8, "scale: the update is multiplied by loraAlpha / r"),
  loraDropout: field(
    Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.99 })),
    0,
    "dropout on the adapter's input while training"
  ),
  targetModules: optional(
    NamesOrPattern,
    "adapted modules: names that paths end with (the token embedding and the output head may be named), \"all-linear\" for every linear layer but the output head, or a regular expression for whole paths; default: PEFT's for the model's family"
  ),
  excludeModules: optional(NamesOrPattern, "modules left as they are: names that paths end with, or a regular expression for whole paths"),
  layersToTransform: optional(Schema.NonEmptyArray(Count), "numbers of the layers to adapt, from 0; default: all"),
  layersPattern: optional(Names, 'name of the list of layers in module paths, e.g. ["layers"]; default: any'),
  rankPattern: field(
    Schema.Record(Schema.String, PositiveInt),
    {},
    "ranks of their own by module: the key is a regular expression for the end of the path"
  ),
  alphaPattern: field(Schema.Record(Schema.String, Positive), {}, "loraAlpha of their own by module, keys as in rankPattern"),
  modulesToSave: optional(Names, 'modules trained whole and saved with the adapter, e.g. ["embed_tokens", "lm_head"]'),
  ensureWeightTying: field(
    Schema.Boolean,
    false,
    "an embedding and a head that the base ties stay one tensor when modulesToSave trains them; without it they are parted, and the adapter cannot be merged"
  ),
  bias: field(
    Schema.Literals(["none", "all", "lora_only"]),
    "none",
    "the model's biases that are trained: none, all, or those of adapted modules"
  ),
  initLoraWeights: field(
    Schema.Union([Schema.Boolean, Schema.Literal("gaussian")]),
    true,
    "first values: true fills A uniformly and B with 0, gaussian A from a normal distribution of std 1 / r, false fills B too. PEFT's eva, loftq, olora, orthogonal, pissa and corda are not offered"
  ),
  useRslora: field(Schema.Boolean, false, "the scale is loraAlpha / sqrt(r) (rank-stabilised LoRA)"),
  useDora: field(Schema.Boolean, false, "DoRA: the length of each row of the weight is trained apart from its direction"),
  loraplusLrRatio: optional(
    Schema.Finite.check(Schema.isGreaterThanOrEqualTo(1)),
    "LoRA+: learning rate of the B tensors over that of the A tensors, e.g. 16; default: one rate for both"
  ),
  loraplusLrEmbedding: field(Positive, 1e-6, "LoRA+: learning rate of an adapter on the token embedding"),
  seed: field(Count, 0, "added to the train stage's seed for the adapter's initial weights")
})
export type LoraOptions = typeof LoraMethod.Type

/** (IA)^3 (Liu et al. 2022), as PEFT defines it: learned vectors scale the outputs of some layers and the inputs of others. */
export const Ia3Method = Schema.Struct({
  type: Schema.Literal("ia3"),
  targetModules: optional(
    NamesOrPattern,
    "adapted modules: names that paths end with, or a regular expression for whole paths; default: PEFT's for the model's family"
  ),
  feedforwardModules: optional(
    Schema.Union([Schema.NonEmptyString, Schema.Array(Schema.NonEmptyString)]),
    "those of targetModules whose input is scaled instead of their output; default: PEFT's for the model's family"
  ),
  excludeModules: optional(NamesOrPattern, "modules left as they are: names that paths end with, or a regular expression for whole paths"),
  modulesToSave: optional(Names, 'modules trained whole and saved with the adapter, e.g. ["lm_head"]')
})
export type Ia3Options = typeof Ia3Method.Type

const PromptInit = Schema.Union([Schema.Literal("random"), Schema.Struct({ text: Schema.NonEmptyString })])

/** Prefix tuning (Li & Liang 2021), as PEFT defines it: learned keys and values stand in front of every layer's own. */
export const PrefixMethod = Schema.Struct({
  type: Schema.Literal("prefix"),
  numVirtualTokens: field(PositiveInt, 20, "places in front of every row; they count towards the model's longest text"),
  projection: field(
    Schema.Boolean,
    false,
    "train a small embedding behind two layers that make the keys and values of it, instead of these themselves (PEFT's prefix_projection)"
  ),
  encoderHiddenSize: optional(PositiveInt, "width between the two layers of the projection; default: that of one layer's keys"),
  init: field(
    PromptInit,
    "random",
    "first values: random, or { text }: the base's own keys and values at the first tokens of a text, which must have numVirtualTokens or more (not with projection)"
  ),
  seed: field(Count, 0, "added to the train stage's seed for random first values")
})
export type PrefixOptions = typeof PrefixMethod.Type

/** Prompt tuning (Lester et al. 2021), as PEFT defines it: the embeddings of virtual tokens in front of every row are learned. */
export const PromptTuningMethod = Schema.Struct({
  type: Schema.Literal("promptTuning"),
  numVirtualTokens: field(PositiveInt, 20, "tokens in front of every row; they count towards the model's longest text"),
  init: field(
    PromptInit,
    "random",
    "first values: random, or { text }: the embeddings of the text's tokens, begun again where they are too few, cut where they are too many"
  ),
  seed: field(Count, 0, "added to the train stage's seed for random first values")
})
export type PromptTuningOptions = typeof PromptTuningMethod.Type

const { type: _, ...loraFields } = LoraMethod.fields

/** LoRA over a base whose linear layers are held in 4 bits (QLoRA, Dettmers et al. 2023), quantised as bitsandbytes does. */
export const QloraMethod = Schema.Struct({
  type: Schema.Literal("qlora"),
  quantType: field(
    Schema.Literals(["nf4", "fp4"]),
    "nf4",
    "the 16 values of 4 bits: quantiles of the normal distribution, or floating point (the default of Hugging Face's BitsAndBytesConfig)"
  ),
  doubleQuant: field(
    Schema.Boolean,
    true,
    "the scales of the blocks are held in 8 bits: 4.127 bits a value instead of 4.5 (Hugging Face's default: false)"
  ),
  blockSize: field(Schema.Literals([64]), 64, "values that share a scale"),
  ...loraFields
})
export type QloraOptions = typeof QloraMethod.Type

/** Every method; docs/reference/train.md has a table for each that has options. */
export const methods = {
  full: FullMethod,
  lora: LoraMethod,
  qlora: QloraMethod,
  ia3: Ia3Method,
  prefix: PrefixMethod,
  promptTuning: PromptTuningMethod
}
export const Method = Schema.Union([FullMethod, LoraMethod, QloraMethod, Ia3Method, PrefixMethod, PromptTuningMethod])
export type Method = typeof Method.Type
/** A method that adds tensors instead of training the model's own. */
export type AdapterMethod = Exclude<Method, { readonly type: "full" }>

/** Full fine-tuning, or of the tensors that `trainable` names. */
export const full = (options: Omit<typeof FullMethod.Encoded, "type"> = {}): typeof FullMethod.Encoded => ({ type: "full", ...options })
/** LoRA; see LoraMethod for the options and their defaults. */
export const lora = (options: Omit<typeof LoraMethod.Encoded, "type"> = {}): typeof LoraMethod.Encoded => ({ type: "lora", ...options })
/** QLoRA: LoRA over a 4-bit base; see QloraMethod for the options and their defaults. */
export const qlora = (options: Omit<typeof QloraMethod.Encoded, "type"> = {}): typeof QloraMethod.Encoded => ({ type: "qlora", ...options })
/** (IA)^3; see Ia3Method for the options and their defaults. */
export const ia3 = (options: Omit<typeof Ia3Method.Encoded, "type"> = {}): typeof Ia3Method.Encoded => ({ type: "ia3", ...options })
/** Prefix tuning; see PrefixMethod for the options and their defaults. */
export const prefix = (options: Omit<typeof PrefixMethod.Encoded, "type"> = {}): typeof PrefixMethod.Encoded => ({
  type: "prefix",
  ...options
})
/** Prompt tuning; see PromptTuningMethod for the options and their defaults. */
export const promptTuning = (options: Omit<typeof PromptTuningMethod.Encoded, "type"> = {}): typeof PromptTuningMethod.Encoded => ({
  type: "promptTuning",
  ...options
})
