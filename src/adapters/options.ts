// Training methods as options: what a pipeline file writes as `method`. Names are PEFT's in camelCase.
import * as Schema from "effect/Schema"
import { Count, field, optional, Positive, PositiveInt } from "#src/domain/config.ts"

/** Every weight of the model is trained. */
export const FullMethod = Schema.Struct({ type: Schema.Literal("full") })

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
  targetModules: field(
    Schema.Union([Schema.Literal("all-linear"), Schema.NonEmptyArray(Schema.NonEmptyString)]),
    ["q_proj", "v_proj"],
    'module names, or "all-linear" for every linear layer but the output head'
  ),
  seed: field(Count, 0, "added to the train stage's seed for the adapter's initial weights")
})
export type LoraOptions = typeof LoraMethod.Type

/** (IA)^3 (Liu et al. 2022), as PEFT defines it: learned vectors scale the outputs of some layers and the inputs of others. */
export const Ia3Method = Schema.Struct({
  type: Schema.Literal("ia3"),
  targetModules: optional(Schema.NonEmptyArray(Schema.NonEmptyString), "module names; default: PEFT's for the model's family"),
  feedforwardModules: optional(
    Schema.Array(Schema.NonEmptyString),
    "those of targetModules whose input is scaled instead of their output; default: PEFT's for the model's family"
  )
})
export type Ia3Options = typeof Ia3Method.Type

/** Every method; docs/reference/train.md has a table for each that has options. */
export const methods = { full: FullMethod, lora: LoraMethod, ia3: Ia3Method }
export const Method = Schema.Union([FullMethod, LoraMethod, Ia3Method])
export type Method = typeof Method.Type
/** A method that adds tensors instead of training the model's own. */
export type AdapterMethod = Exclude<Method, { readonly type: "full" }>

/** Full fine-tuning. */
export const full = (): typeof FullMethod.Encoded => ({ type: "full" })
/** LoRA; see LoraMethod for the options and their defaults. */
export const lora = (options: Omit<typeof LoraMethod.Encoded, "type"> = {}): typeof LoraMethod.Encoded => ({ type: "lora", ...options })
/** (IA)^3; see Ia3Method for the options and their defaults. */
export const ia3 = (options: Omit<typeof Ia3Method.Encoded, "type"> = {}): typeof Ia3Method.Encoded => ({ type: "ia3", ...options })
