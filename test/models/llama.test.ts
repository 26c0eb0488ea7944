// The Llama family's config and parameters: what is taken, what is refused and how it says so. Numbers are compared in parity/.
import { describe, expect, test } from "vitest"
import { gradients } from "#src/graph/autodiff.ts"
import { Graph } from "#src/graph/Graph.ts"
import { crossEntropy } from "#src/graph/loss.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import { runGraph } from "../graph/runGraph.ts"
import { failureOf, tinyConfig, tinyModel } from "./folder.ts"

describe("config", () => {
  const refused: readonly (readonly [object, RegExp])[] = [
    [{ hidden_act: "gelu" }, /^hidden_act: Expected "silu"/],
    [{ quantization_config: { quant_method: "gptq" } }, /^quantization_config: gptq is not supported/],
    [{ attention_dropout: 1.5 }, /^attention_dropout/],
    [{ rope_parameters: { rope_type: "longrope", rope_theta: 1e4 } }, /^rope_type/],
    [{ rope_parameters: { rope_type: "linear", rope_theta: 1e4, factor: 2, warp: 3 } }, /^warp: 3 is no parameter of linear rope/],
    [{ rope_parameters: { rope_type: "llama3", rope_theta: 1e4, factor: 8 } }, /low_freq_factor/],
    [{ rope_parameters: { rope_theta: 1e4, partial_rotary_factor: 0.5 } }, /^partial_rotary_factor/],
    [{ rope_scaling: "linear" }, /^rope_scaling/],
    [
      { model_type: "phi3", pad_token_id: 0, rope_parameters: { rope_type: "linear", factor: 2 } },
      /rope_type "linear" is not computed for phi3/
    ],
    // Not off because it is false: transformers then lets every token see all others.
    [{ is_causal: false }, /^is_causal/],
    [{ is_causal: null }, /^is_causal/],
    [{ num_key_value_heads: 3 }, /no multiple of num_key_value_heads 3/],
    [{ head_dim: 3 }, /head_dim 3 is odd/],
    [{ vocab_size: "many" }, /^vocab_size/],
    [{ vocab_size: undefined, hidden_size: 0 }, /vocab_size.*hidden_size/],
    [{ pad_token_id: 11 }, /pad_token_id 11 is outside the vocabulary of 11/],
    [{ model_type: "mamba" }, /unknown model_type "mamba"/]
  ]
  test.each(refused)("%j is refused", async (change, message) => {
    const error = await failureOf(() => tinyModel(change))
    expect(error.message).toMatch(message)
    expect(error.where).toMatch(/^config\.json/)
  })

  test("an unknown family is told which ones there are", async () => {
    expect((await failureOf(() => tinyModel({ model_type: "mamba" }))).why).toMatch(/^supported: .*llama, mistral/)
  })

  test("fields that are left out get transformers' defaults", () => {
    const { model_type, vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads } = tinyConfig
    const smallest = { model_type, vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads }
    const { config } = tinyModel({ ...Object.fromEntries(Object.keys(tinyConfig).map((key) => [key, undefined])), ...smallest })
    expect(config).toMatchObject({ num_key_value_heads: 4, head_dim: 2, max_position_embeddings: 2048, tie_word_embeddings: false })
    expect(config).toMatchObject({ bos_token_id: 1, eos_token_id: 2, pad_token_id: null })
  })
})

describe("parameters", () => {
  test("names, shapes and decay groups of one layer with biases and an untied head", () => {
    const model = tinyModel({ num_hidden_layers: 1, tie_word_embeddings: false, attention_bias: true })
    const layer = "model.layers.0"
    expect(model.parameters.map(({ name, shape, decay }) => `${name} ${shape.join("x")}${decay ? " decays" : ""}`)).toEqual([
      "model.embed_tokens.weight 11x8 decays",
      `${layer}.self_attn.q_proj.weight 8x8 decays`,
      `${layer}.self_attn.q_proj.bias 8`,
      `${layer}.self_attn.k_proj.weight 4x8 decays`,
      `${layer}.self_attn.k_proj.bias 4`,
      `${layer}.self_attn.v_proj.weight 4x8 decays`,
      `${layer}.self_attn.v_proj.bias 4`,
      `${layer}.self_attn.o_proj.weight 8x8 decays`,
      `${layer}.self_attn.o_proj.bias 8`,
      `${layer}.mlp.gate_proj.weight 12x8 decays`,
      `${layer}.mlp.up_proj.weight 12x8 decays`,
      `${layer}.mlp.down_proj.weight 8x12 decays`,
      `${layer}.input_layernorm.weight 8`,
      `${layer}.post_attention_layernorm.weight 8`,
      "model.norm.weight 8",
      "lm_head.weight 11x8 decays"
    ])
  })
})

describe("build", () => {
  test("logits of selected positions are those rows of all logits", async () => {
    const model = tinyModel()
    const weights = initialWeights(model, 1)
    const graph = new Graph()
    const values = new Map(model.parameters.map(({ name, shape }) => [name, graph.constant(weights.read(name), "float32", shape, name)]))
    const args = { inputIds: graph.input("ids", "int64", [2, 3]), param: (name: string) => values.get(name)! }
    graph.output("all", model.build(graph, args).logits)
    graph.output("some", model.build(graph, { ...args, select: graph.constant(BigInt64Array.of(5n, 1n), "int64", [2]) }).logits)
    const { all, some } = await runGraph(graph, { ids: BigInt64Array.of(1n, 2n, 3n, 4n, 5n, 6n) })
    const row = (i: number) => [...(all as Float32Array).subarray(i * 11, (i + 1) * 11)]
    expect([...(some as Float32Array)]).toEqual([...row(5), ...row(1)])
  })

  test("the padding row of an untied embedding gets no gradient", async () => {
    const model = tinyModel({ tie_word_embeddings: false, pad_token_id: 3, initializer_range: 1 })
    const weights = initialWeights(model, 1)
    const graph = new Graph()
    const embedding = "model.embed_tokens.weight"
    const values = new Map(model.parameters.map(({ name, shape }) => [name, graph.input(name, "float32", shape)]))
    const { logits } = model.build(graph, { inputIds: graph.input("ids", "int64", [1, 4]), param: (name) => values.get(name)! })
    const targets = graph.constant(BigInt64Array.of(1n, 2n, 3n, 4n), "int64", [4])
    const { sum } = crossEntropy(logits, targets, graph.constant(1, "float32", [4]))
    graph.output("gradient", gradients(sum, [values.get(embedding)!])[0]!)
    const feeds = Object.fromEntries(model.parameters.map(({ name }) => [name, weights.read(name)]))
    const { gradient } = await runGraph(graph, { ...feeds, ids: BigInt64Array.of(3n, 5n, 3n, 6n) })
    const size = (row: number) => (gradient as Float32Array).subarray(row * 8, (row + 1) * 8).reduce((sum, x) => sum + Math.abs(x), 0)
    expect(size(3)).toBe(0)
    expect(size(5)).toBeGreaterThan(0)
    expect(size(6)).toBeGreaterThan(0)
  })
})
