// Training methods as options: what a pipeline file writes as `method`. Names are PEFT's in camelCase.
import * as Schema from "effect/Schema"
import { Count, field, Positive, PositiveInt } from "#src/domain/config.ts"

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

export const Method = Schema.Union([FullMethod, LoraMethod])
export type Method = typeof Method.Type

/** Full fine-tuning. */
export const full = (): typeof FullMethod.Encoded => ({ type: "full" })
/** LoRA; see LoraMethod for the options and their defaults. */
export const lora = (options: Omit<typeof LoraMethod.Encoded, "type"> = {}): typeof LoraMethod.Encoded => ({ type: "lora", ...options })
