// The side tensors that bitsandbytes saves beside a 4-bit weight, and the JSON that describes it (QuantState.as_dict).
import * as Schema from "effect/Schema"
import { DataError } from "#src/domain/Errors.ts"
import { decodeObject, parseObject } from "../decode.ts"
import type { QuantType } from "./codes.ts"

const Size = Schema.Int.check(Schema.isGreaterThan(0))
const QuantTypeName = Schema.Literals(["nf4", "fp4"])

const Fields = Schema.Struct({
  quant_type: QuantTypeName,
  blocksize: Size.check(Schema.isMultipleOf(2)),
  /** What was quantised. The values are computed in float32 here, whatever it was, as bitsandbytes does for float32 activations. */
  dtype: Schema.Literals(["float32", "float16", "bfloat16"]),
  shape: Schema.NonEmptyArray(Size),
  nested_blocksize: Schema.optionalKey(Size),
  nested_dtype: Schema.optionalKey(Schema.Literal("float32")),
  nested_offset: Schema.optionalKey(Schema.Finite)
})

export interface QuantState {
  readonly quantType: QuantType
  readonly blockSize: number
  readonly shape: readonly number[]
  /** Of doubly quantised scales. */
  readonly nested?: { readonly blockSize: number; readonly offset: number }
}

/** Names of a weight's side tensors. */
export const sideNames = (weight: string) => ({
  states: QuantTypeName.literals.map((type) => `${weight}.quant_state.bitsandbytes__${type}`),
  absmax: `${weight}.absmax`,
  codes: `${weight}.quant_map`,
  nestedAbsmax: `${weight}.nested_absmax`,
  nestedCodes: `${weight}.nested_quant_map`
})

/** @throws DataError where the bytes are no such JSON */
export const parseQuantState = (bytes: Uint8Array, where: string): QuantState => {
  const fields = decodeObject(Fields, parseObject(new TextDecoder().decode(bytes), where), where)
  const { nested_blocksize: blockSize, nested_offset: offset } = fields
  if ((blockSize === undefined) !== (offset === undefined)) {
    throw new DataError({ message: "nested_blocksize and nested_offset belong together", where })
  }
  return {
    quantType: fields.quant_type,
    blockSize: fields.blocksize,
    shape: fields.shape,
    ...(blockSize === undefined || offset === undefined ? {} : { nested: { blockSize, offset } })
  }
}
