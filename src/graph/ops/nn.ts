// Ops of neural networks. Those named after an ONNX or com.microsoft kernel run on it where it takes the type.
import { normalAxis } from "../Type.ts"
import type { Value } from "../Value.ts"

const axisOf = (x: Value, axis: number): number => normalAxis(axis, x.shape.length) ?? axis

export const softmax = (x: Value, axis = -1): Value => x.graph.add("Softmax", [x], { axis: axisOf(x, axis) })[0]!
export const logSoftmax = (x: Value, axis = -1): Value => x.graph.add("LogSoftmax", [x], { axis: axisOf(x, axis) })[0]!

/** RMSNorm over the last axis: scale * x / sqrt(mean(x^2) + epsilon); x [..., D], scale [D]. */
export const rmsNorm = (x: Value, scale: Value, epsilon: number): Value =>
  x.graph.add("SimplifiedLayerNormalization", [x, scale], { epsilon })[0]!

/** Layer normalization over the last axis: scale * (x - mean(x)) / sqrt(var(x) + epsilon) + bias; x [..., D], scale and bias [D]. */
export const layerNorm = (x: Value, scale: Value, bias: Value, epsilon: number): Value =>
  x.graph.add("LayerNormalization", [x, scale, bias], { epsilon })[0]!

/**
 * Rotary position embedding over halves, as Hugging Face stores weights: (x1 cos - x2 sin | x2 cos + x1 sin).
 * x [B,H,T,hd], positions int64 [B,T], cos and sin [maxPosition, hd/2].
 */
export const rotaryEmbedding = (x: Value, positions: Value, cos: Value, sin: Value): Value =>
  x.graph.add("RotaryEmbedding", [x, positions, cos, sin], {})[0]!

/** x sigmoid(x). */
export const silu = (x: Value): Value => x.graph.add("Silu", [x], {})[0]!

/** Gaussian error linear unit, exact or in the tanh form of GPT-2 and Gemma; float32 only on CPU. */
export const gelu = (x: Value, approximate: "none" | "tanh" = "none"): Value => x.graph.add("Gelu", [x], { approximate })[0]!
