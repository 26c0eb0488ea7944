// The protobuf form of a model: bytes fixed by hand, round trips, cut bytes.
import { describe, expect, test } from "vitest"
import { Graph } from "#src/graph/Graph.ts"
import { decodeModel } from "#src/graph/onnx/decode.ts"
import { encode, encodeModel } from "#src/graph/onnx/encode.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { readFields, Writer } from "#src/graph/onnx/protobuf.ts"
import { cast } from "#src/graph/ops/elementwise.ts"
import { reduceSum } from "#src/graph/ops/reduce.ts"
import { validateModel } from "#src/graph/validate.ts"
import { network } from "./network.ts"

const tiny = { vocab: 11, width: 8, layers: 2, heads: 2, inner: 6, batch: 2, length: 3, tied: true }

describe("protobuf", () => {
  test("writes the examples of the protobuf manual", () => {
    expect([...new Writer().varint(1, 150).finish()]).toEqual([0x08, 0x96, 0x01])
    expect([...new Writer().string(2, "testing").finish()]).toEqual([0x12, 0x07, ...new TextEncoder().encode("testing")])
    expect([...new Writer().message(3, (w) => w.varint(1, 150)).finish()]).toEqual([0x1a, 0x03, 0x08, 0x96, 0x01])
    expect([...new Writer().varint(1, -2).finish()]).toEqual([0x08, 0xfe, ...Array<number>(8).fill(0xff), 0x01])
  })

  test.each([0, 1, 127, 128, 300, 2 ** 31, 2 ** 53, -1, -(2 ** 40)])("reads varint %d back", (value) => {
    expect([...readFields(new Writer().varint(7, value).finish())]).toEqual([{ field: 7, kind: "varint", value: BigInt(value) }])
  })

  test("refuses bytes that end too early and unknown wire types", () => {
    expect(() => [...readFields(Uint8Array.of(0x12, 0x07, 0x74))]).toThrow("field 2 ends 6 bytes after the data")
    expect(() => [...readFields(Uint8Array.of(0x08, 0x96))]).toThrow(RangeError)
    expect(() => [...readFields(Uint8Array.of(0x0b))]).toThrow("unknown wire type 3")
  })
})

describe("models", () => {
  test("a training graph survives encode and decode", () => {
    const model = lower(network(tiny))
    const decoded = decodeModel(encode(model))
    expect(decoded).toEqual(model)
    expect(validateModel(decoded)).toEqual([])
  })

  test("the same graph gives the same bytes", () => {
    expect(encodeModel(network(tiny))).toEqual(encodeModel(network(tiny)))
  })

  test("every element type survives as input, constant and output", () => {
    const graph = new Graph()
    for (const dtype of ["float32", "float64", "float16", "int64", "int32", "uint8", "bool", "bfloat16"] as const) {
      const x = graph.input(dtype, dtype, [2, 1])
      graph.output(`${dtype} out`, cast(x, "float32"))
      graph.output(`${dtype} constant`, graph.constant(0, dtype, [3]))
    }
    const model = lower(graph)
    expect(decodeModel(encode(model))).toEqual(model)
  })

  test("a file cut anywhere is refused or differs", () => {
    const graph = new Graph()
    graph.output("y", reduceSum(graph.input("x", "float32", [3])))
    const bytes = encodeModel(graph)
    const whole = decodeModel(bytes)
    for (let size = 0; size < bytes.length; size++) {
      const read = () => decodeModel(bytes.subarray(0, size))
      try {
        expect(read()).not.toEqual(whole)
      } catch (u) {
        if (!(u instanceof RangeError)) throw u
      }
    }
  })
})
