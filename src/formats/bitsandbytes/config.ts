// `quantization_config` of config.json: bitsandbytes' 4-bit form is read, every other one is refused by its name.
import * as Schema from "effect/Schema"
import { DataError } from "#src/domain/Errors.ts"
import { decodeObject, type Json, type JsonObject } from "../decode.ts"

/** transformers' own defaults (BitsAndBytesConfig). */
const Fields = Schema.Struct({
  quant_method: Schema.optionalKey(Schema.String),
  load_in_4bit: Schema.optionalKey(Schema.Boolean),
  load_in_8bit: Schema.optionalKey(Schema.Boolean)
})

const refuse = (what: string, where: string): never => {
  throw new DataError({
    message: `quantization_config: ${what} is not supported`,
    where,
    why: "anneal reads plain weights and those that bitsandbytes quantised to 4 bits (nf4, fp4)",
    hint: "use the model's own weights, or a folder that bitsandbytes saved with load_in_4bit"
  })
}

/** Whether the folder holds tensors in bitsandbytes' 4-bit form. @throws DataError where they are quantised in another way */
export const isFourBit = ({ quantization_config: config }: JsonObject, where: string): boolean => {
  if (config === undefined || config === null) return false
  const fields = decodeObject(Fields, config, where)
  // Folders of early releases name no method.
  const method = fields.quant_method ?? "bitsandbytes"
  if (method !== "bitsandbytes") refuse(method, where)
  if (fields.load_in_8bit === true) refuse("bitsandbytes in 8 bits", where)
  if (fields.load_in_4bit !== true) refuse("bitsandbytes without load_in_4bit", where)
  return true
}

/** config.json without it, for weights that are saved as plain numbers. */
export const withoutQuantization = (config: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(config).filter(([field]): boolean => field !== "quantization_config")) as Readonly<Record<string, Json>>
