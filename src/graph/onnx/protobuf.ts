// The protobuf wire format, as far as ONNX needs it: varints, 32-bit floats and length-delimited fields.

/** Writes fields in the order of the calls; nested messages are length-delimited fields. */
export class Writer {
  readonly #chunks: Uint8Array[] = []
  #size = 0

  varint(field: number, value: number | bigint): this {
    this.#push(encodeVarint(field * 8))
    return this.#push(encodeVarint(value))
  }

  float(field: number, value: number): this {
    this.#push(encodeVarint(field * 8 + 5))
    return this.#push(new Uint8Array(new Float32Array([value]).buffer))
  }

  bytes(field: number, bytes: Uint8Array): this {
    this.#push(encodeVarint(field * 8 + 2))
    this.#push(encodeVarint(bytes.length))
    return this.#push(bytes)
  }

  string(field: number, text: string): this {
    return this.bytes(field, new TextEncoder().encode(text))
  }

  message(field: number, write: (writer: Writer) => void): this {
    const nested = new Writer()
    write(nested)
    this.#push(encodeVarint(field * 8 + 2))
    this.#push(encodeVarint(nested.#size))
    for (const chunk of nested.#chunks) this.#push(chunk)
    return this
  }

  finish(): Uint8Array {
    const out = new Uint8Array(this.#size)
    let at = 0
    for (const chunk of this.#chunks) {
      out.set(chunk, at)
      at += chunk.length
    }
    return out
  }

  #push(chunk: Uint8Array): this {
    this.#chunks.push(chunk)
    this.#size += chunk.length
    return this
  }
}

/** Negative numbers are written as 64-bit two's complement, as int64 fields are. */
const encodeVarint = (value: number | bigint): Uint8Array => {
  let rest = BigInt.asUintN(64, BigInt(value))
  const out: number[] = []
  while (rest > 127n) {
    out.push(Number(rest & 127n) | 128)
    rest >>= 7n
  }
  out.push(Number(rest))
  return Uint8Array.from(out)
}

/** One field: a varint as a signed 64-bit number, a float, or the bytes of a length-delimited field. */
export type Field =
  | { readonly field: number; readonly kind: "varint"; readonly value: bigint }
  | { readonly field: number; readonly kind: "float"; readonly value: number }
  | { readonly field: number; readonly kind: "bytes"; readonly value: Uint8Array }

/** Fields of a message in file order; throws RangeError where the bytes end too early or a wire type is not used by ONNX. */
export function* readFields(bytes: Uint8Array): Generator<Field> {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = data.getUint8(at++)
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return value
    }
    throw new RangeError(`a varint of more than 10 bytes before byte ${at}`)
  }
  while (at < bytes.length) {
    const tag = Number(varint())
    const [field, wire] = [Math.floor(tag / 8), tag % 8]
    if (wire === 0) yield { field, kind: "varint", value: BigInt.asIntN(64, varint()) }
    else if (wire === 5) {
      yield { field, kind: "float", value: data.getFloat32(at, true) }
      at += 4
    } else if (wire === 2) {
      const size = Number(varint())
      if (at + size > bytes.length) throw new RangeError(`field ${field} ends ${at + size - bytes.length} bytes after the data`)
      yield { field, kind: "bytes", value: bytes.subarray(at, at + size) }
      at += size
    } else throw new RangeError(`unknown wire type ${wire} at byte ${at}`)
  }
}
