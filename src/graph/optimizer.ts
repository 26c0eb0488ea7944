// AdamW and gradient clipping as plain reference arithmetic. The SIMD kernels (runtime/kernels) compute the same formulas
// in float32; `round = Math.fround` gives their bytes, the default gives the exact values that tests compare with.

export interface AdamWOptions {
  readonly learningRate: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly weightDecay: number
}

/** What one step multiplies with: the same for all elements of a parameter. */
export interface AdamWFactors {
  /** 1 - learningRate * weightDecay */
  readonly decay: number
  readonly beta1: number
  readonly rest1: number
  readonly beta2: number
  readonly rest2: number
  /** learningRate / (1 - beta1^t) */
  readonly stepSize: number
  /** sqrt(1 - beta2^t) */
  readonly rootBias: number
  readonly epsilon: number
}

/** Factors of optimizer step `t`, counted from 1. */
export const adamwFactors = (o: AdamWOptions, t: number): AdamWFactors => ({
  decay: 1 - o.learningRate * o.weightDecay,
  beta1: o.beta1,
  rest1: 1 - o.beta1,
  beta2: o.beta2,
  rest2: 1 - o.beta2,
  stepSize: o.learningRate / (1 - o.beta1 ** t),
  rootBias: Math.sqrt(1 - o.beta2 ** t),
  epsilon: o.epsilon
})

export interface Moments {
  readonly p: number
  readonly m: number
  readonly v: number
}

/**
 * Loshchilov and Hutter 2019, as torch.optim.AdamW:
 * p <- p (1 - lr wd);  m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  p <- p - lr/(1 - b1^t) m / (sqrt(v)/sqrt(1 - b2^t) + eps)
 * `clip` scales g first. Every operation is rounded by `round`.
 */
export const adamw = ({ p, m, v }: Moments, g: number, f: AdamWFactors, clip = 1, round = (x: number): number => x): Moments => {
  const r = round
  const g1 = r(r(g) * r(clip))
  const m1 = r(r(m * r(f.beta1)) + r(g1 * r(f.rest1)))
  const v1 = r(r(v * r(f.beta2)) + r(r(g1 * g1) * r(f.rest2)))
  const denominator = r(r(r(Math.sqrt(v1)) / r(f.rootBias)) + r(f.epsilon))
  return { p: r(r(p * r(f.decay)) - r(r(f.stepSize) * r(m1 / denominator))), m: m1, v: v1 }
}

/** Factor that brings a gradient of global L2 norm `norm` down to `max`, as torch.nn.utils.clip_grad_norm_; max 0 = no clipping. */
export const clipFactor = (norm: number, max: number): number => (max > 0 ? Math.min(1, max / (norm + 1e-6)) : 1)

/** Gradient of the penalty lambda/2 (p - p0)^2 added to g. */
export const pull = (g: number, p: number, p0: number, lambda: number, round = (x: number): number => x): number =>
  round(g + round(round(lambda) * round(p - p0)))

/** Sum of squares in float64, in the kernel's order: lane k takes the elements k, k + 4 …; then (0 + 2) + (1 + 3). */
export const sumSquares = (values: Float32Array): number => {
  const lanes = [0, 0, 0, 0]
  values.forEach((x, i) => (lanes[i % 4] = (lanes[i % 4] as number) + x * x))
  const [a = 0, b = 0, c = 0, d = 0] = lanes
  return a + c + (b + d)
}
