// The total table of gradient rules. "none": the output does not depend smoothly on any input, so no gradient flows.
import type { OpName } from "./op.ts"
import * as elementwise from "./vjp/elementwise.ts"
import * as index from "./vjp/index.ts"
import { matMulAddRule, matMulRule } from "./vjp/matmul.ts"
import * as nn from "./vjp/nn.ts"
import * as reduce from "./vjp/reduce.ts"
import type { Rule } from "./vjp/Rule.ts"
import * as shape from "./vjp/shape.ts"

export const rules: { readonly [K in OpName]: Rule<K> | "none" } = {
  Add: elementwise.addRule,
  Sub: elementwise.subRule,
  Mul: elementwise.mulRule,
  Div: elementwise.divRule,
  Neg: elementwise.negRule,
  Exp: elementwise.expRule,
  Log: elementwise.logRule,
  Sqrt: elementwise.sqrtRule,
  Reciprocal: elementwise.reciprocalRule,
  Sigmoid: elementwise.sigmoidRule,
  Tanh: elementwise.tanhRule,
  Erf: elementwise.erfRule,
  Where: elementwise.whereRule,
  Equal: "none",
  Less: "none",
  Greater: "none",
  Cast: elementwise.castRule,
  Identity: elementwise.identityRule,
  After: elementwise.afterRule,
  MatMulAdd: matMulAddRule,
  StopGradient: "none",
  MatMul: matMulRule,
  Reshape: shape.reshapeRule,
  Expand: shape.expandRule,
  Transpose: shape.transposeRule,
  Concat: shape.concatRule,
  Split: shape.splitRule,
  Slice: shape.sliceRule,
  ConstantOfShape: "none",
  ReduceSum: reduce.reduceSumRule,
  ReduceMean: reduce.reduceMeanRule,
  ReduceMax: reduce.reduceMaxRule,
  Gather: index.gatherRule,
  GatherElements: index.gatherElementsRule,
  ScatterElements: index.scatterElementsRule,
  Softmax: nn.softmaxRule,
  LogSoftmax: nn.logSoftmaxRule,
  Dequantize4Bit: "none",
  SimplifiedLayerNormalization: nn.rmsNormRule,
  LayerNormalization: nn.layerNormRule,
  RotaryEmbedding: nn.rotaryEmbeddingRule,
  Silu: nn.siluRule,
  Gelu: nn.geluRule,
  SoftmaxCrossEntropy: nn.softmaxCrossEntropyRule
}
