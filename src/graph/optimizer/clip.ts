// The size of a gradient, and what brings it down: plain reference arithmetic of the kernels.

/** Factor that brings a gradient of global L2 norm `norm` down to `max`, as torch.nn.utils.clip_grad_norm_; max 0 = no clipping. */
export const clipFactor = (norm: number, max: number): number => (max > 0 ? Math.min(1, max / (norm + 1e-6)) : 1)

/** Sum of `n` numbers in float64, in the kernels' order: lane k takes the numbers k, k + 4 …; then (0 + 2) + (1 + 3). */
export const laneSum = (n: number, at: (i: number) => number): number => {
  const lanes = [0, 0, 0, 0]
  for (let i = 0; i < n; i++) lanes[i % 4] = (lanes[i % 4] as number) + at(i)
  const [a = 0, b = 0, c = 0, d = 0] = lanes
  return a + c + (b + d)
}

export const sumSquares = (values: Float32Array): number => laneSum(values.length, (i) => (values[i] as number) ** 2)
