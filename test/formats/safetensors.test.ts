// The safetensors header: what is written reads back, and every way in which a file can be damaged is told apart.
import { describe, expect, test } from "vitest"
import { DataError } from "#src/domain/Errors.ts"
import { headerLength, layout, lengthBytes, parseHeader } from "#src/formats/safetensors.ts"

/** A file's first part for a header object, and a parse of it as a file with `dataBytes` bytes of data. */
const parse = (header: unknown, dataBytes: number) => {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header))
  const length = new Uint8Array(lengthBytes)
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length), true)
  const fileBytes = lengthBytes + json.length + dataBytes
  expect(headerLength(length, fileBytes, "model.safetensors")).toBe(json.length)
  return parseHeader(json, fileBytes, "model.safetensors")
}

const f32 = (shape: readonly number[], start: number, end: number) => ({ dtype: "F32", shape, data_offsets: [start, end] })

const failure = (run: () => unknown): DataError => {
  try {
    run()
  } catch (u) {
    expect(u).toBeInstanceOf(DataError)
    return u as DataError
  }
  throw new Error("nothing was thrown")
}

describe("layout", () => {
  const tensors = [
    { name: "b", shape: [2, 3] },
    { name: "a", shape: [] },
    { name: "é", shape: [0] }
  ]

  test("reads back, sorted by name, with the metadata that transformers asks for", () => {
    const { head, tensors: order } = layout(tensors)
    expect(order.map(({ name }) => name)).toEqual(["a", "b", "é"])
    const length = headerLength(head, head.length + 28, "f")
    expect(head.length % 8).toBe(0)
    const { metadata, tensors: entries } = parseHeader(head.subarray(lengthBytes), lengthBytes + length + 28, "f")
    expect(metadata).toEqual({ format: "pt" })
    expect(entries.get("a")).toEqual({ name: "a", dtype: "F32", shape: [], start: head.length, end: head.length + 4 })
    expect(entries.get("b")).toEqual({ name: "b", dtype: "F32", shape: [2, 3], start: head.length + 4, end: head.length + 28 })
  })

  test("the order of the tensors does not change the bytes", () => {
    expect(layout(tensors.toReversed()).head).toEqual(layout(tensors).head)
  })
})

describe("parseHeader", () => {
  test("takes tensors in any order of the header, with metadata", () => {
    const { tensors } = parse({ __metadata__: { format: "pt" }, y: f32([2], 4, 12), x: f32([1], 0, 4) }, 12)
    expect([...tensors.keys()]).toEqual(["y", "x"])
  })

  const damaged: readonly (readonly [string, unknown, number, RegExp])[] = [
    ["cut short in the data", { x: f32([4], 0, 16) }, 12, /cut short: x ends/],
    ["trailing bytes", { x: f32([4], 0, 16) }, 17, /1 bytes follow the last tensor/],
    ["overlapping tensors", { x: f32([2], 0, 8), y: f32([2], 4, 12) }, 12, /y starts at byte \d+, inside/],
    ["a gap between tensors", { x: f32([1], 0, 4), y: f32([1], 8, 12) }, 12, /y starts at byte \d+, with a gap/],
    ["a shape that does not fill its bytes", { x: f32([3], 0, 16) }, 16, /x: F32 of shape \[3\] takes 12 bytes, not 16/],
    ["an end before the start", { x: f32([1], 8, 4) }, 8, /not -4/],
    ["an unknown dtype", { x: { dtype: "F7", shape: [1], data_offsets: [0, 4] } }, 4, /unknown dtype F7/]
  ]
  test.each(damaged)("%s", (_, header, dataBytes, why) => {
    const error = failure(() => parse(header, dataBytes))
    expect(error.why).toMatch(why)
    expect(error.where).toBe("model.safetensors")
  })

  const malformed: readonly (readonly [string, unknown, RegExp])[] = [
    ["no JSON", "{x", /not valid JSON/],
    ["no object", "[1]", /must hold a JSON object/],
    ["a negative dimension", { x: f32([-1], 0, 4) }, /x\.shape\.0/],
    ["an offset that is no whole number", { x: f32([1], 0.5, 4) }, /x\.data_offsets\.0/],
    ["a tensor without dtype", { x: { shape: [1], data_offsets: [0, 4] } }, /x\.dtype/],
    ["metadata that is no text", { __metadata__: { a: 1 } }, /^__metadata__\.a:/]
  ]
  test.each(malformed)("%s", (_, header, message) => {
    expect(failure(() => parse(header, 4)).message).toMatch(message)
  })
})

describe("headerLength", () => {
  const first = (length: bigint) => {
    const bytes = new Uint8Array(lengthBytes)
    new DataView(bytes.buffer).setBigUint64(0, length, true)
    return bytes
  }

  test("an empty file, a file that ends inside its header, and one that is no safetensors file", () => {
    expect(failure(() => headerLength(new Uint8Array(3), 3, "f")).why).toMatch(/it has 3 bytes/)
    expect(failure(() => headerLength(first(100n), 50, "f")).why).toMatch(/cut short/)
    expect(failure(() => headerLength(first(2n ** 60n), 50, "f")).why).toMatch(/no safetensors file/)
  })
})
