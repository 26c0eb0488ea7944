// model.safetensors.index.json: which shard of a large model holds which tensor.
import * as Schema from "effect/Schema"
import { DataError } from "#src/domain/Errors.ts"
import { decodeObject, parseObject } from "./decode.ts"

const Index = Schema.Struct({ weight_map: Schema.Record(Schema.String, Schema.String) })

/** Tensor name to shard file name. @throws DataError, also where a shard would lie outside the model folder */
export const parseShardIndex = (text: string, where: string): ReadonlyMap<string, string> => {
  const { weight_map } = decodeObject(Index, parseObject(text, where), where)
  for (const [tensor, shard] of Object.entries(weight_map)) {
    if (!/^[^/\\]+\.safetensors$/.test(shard)) {
      throw new DataError({
        message: `the shard of ${tensor} is "${shard}"`,
        where,
        why: "a shard must be a .safetensors file in the model folder itself"
      })
    }
  }
  return new Map(Object.entries(weight_map))
}
