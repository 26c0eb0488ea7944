// Key truth: what must give another key does, what must not does not.
import { describe, expect, test } from "vitest"
import { type FingerprintInput, keyOf, manifestOf } from "#src/engine/Fingerprint.ts"

const base: FingerprintInput = {
  kind: "train",
  version: 1,
  code: { modules: {}, packages: {} },
  config: {},
  leftOut: [],
  inputs: {},
  files: {},
  facts: {},
  outputs: { model: "model" }
}
const key = (change: Partial<FingerprintInput>): string => keyOf(manifestOf({ ...base, ...change }))
const configKey = (config: Readonly<Record<string, unknown>>): string => key({ config })

describe("distinct keys", () => {
  test.each<readonly [string, readonly Readonly<Record<string, unknown>>[]]>([
    [
      "types of a value",
      [{ a: 1 }, { a: "1" }, { a: true }, { a: null }, {}, { a: "true" }, { a: "null" }, { a: 1.5 }, { a: [] }, { a: {} }, { a: "" }]
    ],
    [
      "swapped names",
      [
        { lr: 0.1, wd: 3 },
        { lr: 3, wd: 0.1 }
      ]
    ],
    [
      "where a value ends",
      [
        { a: "1", b: "23" },
        { a: "12", b: "3" },
        { a1: "", b: "123" }
      ]
    ],
    ["nesting", [{ a: { b: 1 } }, { "a.b": 1 }, { a: [{ b: 1 }] }, { "a[0]": { b: 1 } }, { a: { 0: { b: 1 } } }]],
    ["order of a list", [{ a: [1, 2] }, { a: [2, 1] }, { a: [1] }, { a: [[1, 2]] }]],
    ["text that looks like an encoding", [{ a: "s1:x" }, { a: "x" }, { "as1:x": "" }]],
    ["Unicode forms of a value", [{ a: "\u00e9" }, { a: "e\u0301" }]]
  ])("%s", (_, configs) => {
    expect(new Set(configs.map(configKey)).size).toBe(configs.length)
  })

  test("everything beside the config counts", () => {
    const digest = `sha256:${"a".repeat(64)}`
    const variants: readonly Partial<FingerprintInput>[] = [
      {},
      { kind: "evaluate" },
      { version: 2 },
      { code: { modules: { "stages/mine.ts": digest }, packages: {} } },
      { code: { modules: {}, packages: { zod: "4.0.0" } } },
      { inputs: { tokens: digest } },
      { inputs: { base: digest } },
      { files: { from: [{ digest, extension: "csv" }] } },
      { files: { from: [{ digest, extension: "tsv" }] } },
      {
        files: {
          from: [
            { digest, extension: "csv" },
            { digest, extension: "csv" }
          ]
        }
      },
      { facts: { onnxruntime: "1.30.0" } },
      { facts: { onnxruntime: "1.31.0" } },
      { outputs: { model: "model", report: "report" } }
    ]
    expect(new Set(variants.map(key)).size).toBe(variants.length)
  })
})

describe("equal keys", () => {
  test("order of names, undefined and absent", () => {
    expect(configKey({ a: 1, b: { c: 2, d: 3 } })).toBe(configKey({ b: { d: 3, c: 2 }, a: 1, e: undefined }))
  })
  test("what is left out of the key, and all below it", () => {
    const leftOut = ["threads", "from", "log"]
    const one = key({ leftOut, config: { lr: 1, threads: 2, from: ["a", "b"], log: { level: "info" } } })
    expect(one).toBe(key({ leftOut, config: { lr: 1, threads: 8, from: "c" } }))
    expect(one).not.toBe(key({ leftOut, config: { lr: 2 } }))
  })
})

test("values without a canonical form are refused", () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -0, "\ud800", () => 1, 1n, [undefined]]) {
    expect(() => configKey({ a: value })).toThrow(/config\.a/)
  }
})

test("the manifest is sorted and names the key's schema version", () => {
  const paths = manifestOf({ ...base, config: { z: 1, a: 2 } }).map((field) => field.path)
  expect(paths).toEqual([...paths].sort())
  expect(paths).toContain("keySchema")
})

test("the key of a known manifest stays what it is: a change here reruns every stage of every user", () => {
  expect(configKey({ learningRate: 1e-4, method: { type: "lora" } })).toMatchInlineSnapshot(
    `"sha256:5e935ae93e039a9ab376f99b1a43578ff14c65f484eff2a7df38ee17b9770627"`
  )
})
