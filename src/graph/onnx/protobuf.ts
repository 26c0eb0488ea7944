// The protobuf wire format, as far as ONNX needs it: varints, 32-bit floats and length-delimited fields.

const utf8 = new TextEncoder()

/** Writes fields in the order of the calls, into one buffer that grows; nested messages are length-delimited fields. */
export class Writer {
  #bytes = new Uint8Array(1024)
  #size = 0

  varint(field: number, value: number | bigint): this {
    this.#varint(field * 8)
    this.#varint(value)
    return this
  }

  float(field: number, value: number): this {
    this.#varint(field * 8 + 5)
    this.#reserve(4)
    new DataView(this.#bytes.buffer).setFloat32(this.#size, value, true)
    this.#size += 4
    return this
  }

  bytes(field: number, bytes: Uint8Array): this {
    this.#varint(field * 8 + 2)
    this.#varint(bytes.length)
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#size)
    this.#size += bytes.length
    return this
  }

  string(field: number, text: string): this {
    return this.bytes(field, utf8.encode(text))
  }

  /** What `write` writes lies behind its length, which is known afterwards: it is moved up to make room. */
  message(field: number, write: (writer: this) => void): this {
    this.#varint(field * 8 + 2)
    const start = this.#size
    write(this)
    const length = this.#size - start
    const room = Math.max(1, Math.ceil((32 - Math.clz32(length)) / 7))
    this.#reserve(room)
    this.#bytes.copyWithin(start + room, start, this.#size)
    this.#size = start
    this.#varint(length)
    this.#size += length
    return this
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#size)
  }

  /** Negative numbers are written as 64-bit two's complement, as int64 fields are. */
  #varint(value: number | bigint): void {
    this.#reserve(10)
    if (typeof value === "number" && value >= 0 && value < 2 ** 31) {
      for (let rest = value; ; rest >>>= 7) {
        this.#bytes[this.#size++] = rest > 127 ? (rest & 127) | 128 : rest
        if (rest <= 127) return
      }
    }
    for (let rest = BigInt.asUintN(64, BigInt(value)); ; rest >>= 7n) {
      this.#bytes[this.#size++] = rest > 127n ? Number(rest & 127n) | 128 : Number(rest)
      if (rest <= 127n) return
    }
  }

  #reserve(count: number): void {
    if (this.#size + count <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#size + count))
    larger.set(this.#bytes.subarray(0, this.#size))
    this.#bytes = larger
  }
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
