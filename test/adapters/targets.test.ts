// Which modules an adapter changes: PEFT's rules, and settings that would be without effect.
import { describe, expect, test } from "vitest"
import { configOf } from "#src/adapters/peft.ts"
import { patternOf, type TargetRules, targetsOf } from "#src/adapters/targets.ts"
import type { LoraConfig } from "#src/formats/adapter/lora.ts"
import { decodeConfig } from "#src/engine/decodeConfig.ts"
import { tuningOf } from "#src/runtime/Tuning.ts"
import { trainKind } from "#stages/train/stage.ts"
import { fullMethod, ia3Method, loraMethod } from "./method.ts"
import { failureOf, tinyModel } from "../models/folder.ts"

const model = tinyModel({ num_hidden_layers: 3 })
const paths = (rules: TargetRules) => targetsOf(model, rules).linears.map(({ path }) => path)
const q = [0, 1, 2].map((layer) => `model.layers.${layer}.self_attn.q_proj`)

describe("targetsOf", () => {
  test("a module name matches the end of a path at a dot", () => {
    expect(paths({ targetModules: ["q_proj"] })).toEqual(q)
    expect(paths({ targetModules: ["model.layers.1.mlp.up_proj", "0.self_attn.v_proj"] })).toEqual([
      "model.layers.0.self_attn.v_proj",
      "model.layers.1.mlp.up_proj"
    ])
  })

  test("all-linear is every linear layer but the head", () => {
    expect(paths({ targetModules: "all-linear" }).length).toBe(21)
    expect(paths({ targetModules: "all-linear" })).not.toContain("lm_head")
  })

  test("a text is a regular expression for the whole path", () => {
    expect(paths({ targetModules: String.raw`model\.layers\.[02]\..*q_proj` })).toEqual([q[0], q[2]])
    expect(() => paths({ targetModules: "q_proj" })).toThrow(/leaves no module/)
  })

  test("embedding and head where they are named", () => {
    expect(targetsOf(model, { targetModules: ["embed_tokens", "lm_head"] })).toEqual({ linears: [model.head], embedding: true })
  })

  test("excluded modules, by name or expression, and those that are trained whole", () => {
    expect(paths({ targetModules: ["q_proj"], excludeModules: ["1.self_attn.q_proj"] })).toEqual([q[0], q[2]])
    expect(paths({ targetModules: ["q_proj"], excludeModules: String.raw`.*\.[01]\..*` })).toEqual([q[2]])
    expect(paths({ targetModules: ["q_proj", "lm_head"], modulesToSave: ["lm_head"] })).toEqual(q)
    expect(paths({ targetModules: ["q_proj", "up_proj"], modulesToSave: ["mlp"] })).toEqual(q)
  })

  test("layers by number; a whole path is not asked", () => {
    expect(paths({ targetModules: ["q_proj"], layersToTransform: [0, 2] })).toEqual([q[0], q[2]])
    expect(paths({ targetModules: ["q_proj"], layersToTransform: [1], layersPattern: ["layers"] })).toEqual([q[1]])
    expect(paths({ targetModules: ["q_proj", "lm_head"], layersToTransform: [0] })).toEqual([q[0], "lm_head"])
    expect(targetsOf(model, { targetModules: ["q_proj", "embed_tokens"], layersToTransform: [0] }).embedding).toBe(false)
  })

  test("patterns of ranks: the first that the path ends with, at a dot", () => {
    expect(patternOf(["up", "layers\\.1\\.mlp\\.up_proj", "up_proj"], "model.layers.1.mlp.up_proj", "rankPattern")).toBe(
      "layers\\.1\\.mlp\\.up_proj"
    )
    expect(patternOf(["proj"], "model.layers.1.mlp.up_proj", "rankPattern")).toBeUndefined()
    expect(() => patternOf(["("], "x", "rankPattern")).toThrow(/rankPattern: "\(.*is no regular expression/)
  })
})

describe("an expression in the config that is saved", () => {
  const saved = (targetModules: string) => (configOf(model, loraMethod({ targetModules }), "") as LoraConfig).targetModules
  const all = [...model.linears.map(({ path }) => path), model.embedding, model.head.path]

  test("stays as it is where it fits layers alone", () => {
    for (const kept of [".*_proj", String.raw`model\.layers\.1\.(mlp\.up|self_attn\.q)_proj`, ".*head"]) expect(saved(kept)).toBe(kept)
  })

  test("is held to the layers that it means where it fits blocks, norms or activation functions too, which PEFT refuses", () => {
    for (const open of [".*self_attn.*", String.raw`.*mlp\..*`, ".*layers.*", String.raw`.*\.[02]\..*`, ".*"]) {
      const held = saved(open)
      expect(paths({ targetModules: held })).toEqual(paths({ targetModules: open }))
      const pattern = new RegExp(`^(?:${held as string})$`)
      const others = [
        "model",
        "model.layers",
        "model.layers.0.mlp",
        "model.layers.0.mlp.act_fn",
        "model.layers.2.input_layernorm",
        "model.rotary_emb"
      ]
      expect([...others, ...all].filter((path) => pattern.test(path) && !all.includes(path))).toEqual([])
    }
  })
})

const lora = (options: Parameters<typeof loraMethod>[0]) => () => configOf(model, loraMethod(options), "")
const bad: readonly (readonly [string, () => unknown, RegExp, RegExp])[] = [
  ["a target that is nowhere", lora({ targetModules: ["q_proj", "k_prj"] }), /targetModules: .*"k_prj"/, /did you mean k_proj\?/],
  ["part of a name", lora({ targetModules: ["proj"] }), /targetModules: .*"proj"/, /available: embed_tokens, q_proj/],
  ["an expression that fits nothing", lora({ targetModules: "q_proj" }), /targetModules: .*"q_proj"/, /did you mean q_proj/],
  ["no expression", lora({ targetModules: "q_proj(" }), /is no regular expression/, /^$/],
  ["an exclusion that is nowhere", lora({ excludeModules: ["qproj"] }), /excludeModules: .*"qproj"/, /did you mean q_proj/],
  ["nothing left", lora({ excludeModules: ["q_proj", "v_proj"] }), /leaves no module/, /available/],
  ["a rank for nothing", lora({ rankPattern: { k_proj: 2 } }), /rankPattern: no adapted module fits "k_proj"/, /adapted: q_proj, v_proj/],
  ["an alpha for nothing", lora({ alphaPattern: { "9\\.v_proj": 2 } }), /alphaPattern: no adapted module/, /adapted: q_proj, v_proj/],
  ["a layer beyond the last", lora({ layersToTransform: [1, 3] }), /layersToTransform: there is no layer 3/, /layers 0 to 2/],
  ["a list of layers of another name", lora({ layersToTransform: [1], layersPattern: ["h"] }), /layersPattern: .*"h/, /model\.layers\.0/],
  ["no list of layers", lora({ layersToTransform: [1], layersPattern: ["("] }), /layersPattern: "\(" is no regular expression/, /^$/],
  ["layersPattern alone", lora({ layersPattern: ["layers"] }), /without layersToTransform/, /leave layersPattern out/],
  [
    "layers beside an expression",
    lora({ targetModules: ".*q_proj", layersToTransform: [0] }),
    /layersToTransform cannot/,
    /name the layers/
  ],
  ["a module to save that is nowhere", lora({ modulesToSave: ["lm_hed"] }), /modulesToSave: .*"lm_hed"/, /did you mean lm_head/],
  [
    "a module to save whose name is the end of an adapted one's",
    lora({ targetModules: ["up_proj"], modulesToSave: ["proj"] }),
    /modulesToSave: "proj" also fits model\.layers\.0\.mlp\.up_proj, which is adapted/,
    /write more of it/
  ],
  ["DoRA on the embedding", lora({ targetModules: ["embed_tokens"], useDora: true }), /useDora: /, /plain LoRA/],
  [
    "tying adapters",
    lora({ targetModules: ["embed_tokens"], ensureWeightTying: true }),
    /ensureWeightTying: is offered for modulesToSave/,
    /modulesToSave/
  ],
  [
    "tying what is not tied",
    () => configOf(tinyModel({ tie_word_embeddings: false }), loraMethod({ ensureWeightTying: true }), ""),
    /are not tied/,
    /leave/
  ],
  [
    "a feed-forward module that is no target",
    () => configOf(model, ia3Method({ targetModules: ["k_proj"], feedforwardModules: ["down_proj"] }), ""),
    /feedforwardModules: "down_proj" is none of targetModules/,
    /k_proj/
  ],
  [
    "(IA)^3 on the embedding",
    () => tuningOf(model, ia3Method({ targetModules: ["embed_tokens"] }), 1),
    /linear layers only/,
    /leave it out/
  ],
  [
    "a tensor to train that is nowhere",
    () => tuningOf(model, fullMethod({ trainable: ["model.layer.1.*"] }), 1),
    /trainable: .*"model\.layer\.1\.\*"/,
    /\* stands for any text/
  ]
]

test.each(bad)("%s is an error that says what would fit", async (_, make, message, hint) => {
  const error = await failureOf(make)
  expect(error.message).toMatch(message)
  expect(error.hint ?? "").toMatch(hint)
})

test.each([
  ["r", { r: 0 }, /method\.r: .*greater than 0, got 0/],
  ["an initialisation that is not offered", { initLoraWeights: "pissa" }, /method\.initLoraWeights: .*"gaussian", got "pissa"/],
  ["an option of another method", { type: "full", r: 8 }, /method\.type "full" has no option r/],
  ["an option of another name", { loraAlfa: 8 }, /unknown option method\.loraAlfa \(did you mean loraAlpha\?\)/]
])("%s is refused when the pipeline is read", (_, options, message) => {
  expect(() => decodeConfig(trainKind, { method: { type: "lora", ...options } }, "train")).toThrow(message)
})

test("full: only the named tensors are trained, the others are frozen", () => {
  const { trainables, frozen, adapter } = tuningOf(model, fullMethod({ trainable: ["model.layers.2.*", "model.norm.weight"] }), 1)
  expect(trainables.length).toBe(10)
  expect(trainables.every(({ name }) => /^model\.(layers\.2\.|norm)/.test(name))).toBe(true)
  expect(frozen.length + trainables.length).toBe(model.parameters.length)
  expect(adapter).toBeUndefined()
  // The head of a tied model is the embedding.
  expect(tuningOf(model, fullMethod({ trainable: ["lm_head.weight"] }), 1).trainables.map(({ name }) => name)).toEqual([
    "model.embed_tokens.weight"
  ])
})
