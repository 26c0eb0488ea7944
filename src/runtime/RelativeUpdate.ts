// How much a step changes the weights, over a few evenly spaced ones of each tensor: an exact figure would read all of them twice more.

const samplesPerTensor = 256

export class RelativeUpdate {
  readonly #samples: readonly { readonly p: Float32Array; readonly stride: number; readonly before: Float32Array }[]

  constructor(trainables: readonly { readonly p: Float32Array }[]) {
    this.#samples = trainables.map(({ p }) => {
      const stride = Math.max(1, Math.floor(p.length / samplesPerTensor))
      return { p, stride, before: new Float32Array(Math.ceil(p.length / stride)) }
    })
  }

  /** Call before the step. */
  remember(): void {
    for (const { p, stride, before } of this.#samples) for (let i = 0; i < before.length; i++) before[i] = p[i * stride] as number
  }

  /** After the step: ||change|| / ||weights before||. */
  measure(): number {
    let change = 0
    let size = 0
    for (const { p, stride, before } of this.#samples) {
      for (let i = 0; i < before.length; i++) {
        const was = before[i] as number
        change += ((p[i * stride] as number) - was) ** 2
        size += was * was
      }
    }
    return size === 0 ? Number(change > 0) : Math.sqrt(change / size)
  }
}
